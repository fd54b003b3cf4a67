"""Writes what an exported file finds in images and videos."""
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.runtime.drawing import draw
from dsnet_mm.deploy.runtime.images import Video, is_video, read_image
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write

import cv2
import numpy as np
from rich.progress import Progress


class Results:
    """Writes the predictions of each input.

    Args:
        session (Session): The file that predicts.
        inputs (Iterable[Path]): What must not be overwritten.
        out (Path): The output folder.
        score_thr (float): Of the boxes that are drawn.
        overwrite (bool): Replace outputs that exist.

    Raises:
        FileExistsError: If ``results.json`` exists.
    """

    def __init__(self, session: Session, inputs: Iterable[Path], out: Path, score_thr: float,
                 overwrite: bool) -> None:
        self.session, self.out = session, out
        self.inputs = {file.resolve() for file in inputs}
        self.score_thr, self.overwrite = score_thr, overwrite
        self.boxes: list[dict[str, Any]] = []
        self.number = 0  # of images and frames so far
        if session.metadata.task == 'detection':
            self._check_new(self._json)

    @property
    def _json(self) -> Path:
        return self.out / 'results.json'

    def add(self, source: Path, name: Path, progress: Progress) -> None:
        """Predicts one image or video.

        Args:
            source (Path): The file.
            name (Path): Its name below the output folder.

        Raises:
            OSError, ValueError: If it cannot be read, or an output exists.
        """
        if is_video(source):
            self._add_video(source, name, progress)
            return
        image = read_image(source)
        drawn = self.out / 'drawn' / name
        if not cv2.haveImageWriter(str(drawn)):
            raise ValueError(f'OpenCV writes no files that end with {name.suffix!r}: give it the '
                             'ending of its kind, such as .png')
        self._check_new(drawn)
        outputs = self._predict(image, self.out / 'labels' / name.with_suffix('.png'),
                                file_name=name.as_posix())
        self._write(drawn, draw(image, outputs, self.session.metadata, self.score_thr))

    def finish(self) -> None:
        """Writes what is written at the end."""
        if self.session.metadata.task == 'detection':
            self.out.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._json) as unfinished:
                unfinished.write_text(json.dumps(self.boxes))

    def _add_video(self, source: Path, name: Path, progress: Progress) -> None:
        video = Video(source)
        drawn = self.out / 'drawn' / name.with_suffix('.mp4')
        self._check_new(drawn)
        task = progress.add_task(str(name), total=video.number or None)
        drawn.parent.mkdir(parents=True, exist_ok=True)
        writer, frames = None, 0
        try:
            with atomic_write(drawn) as unfinished:
                for frame, image in enumerate(video):
                    outputs = self._predict(
                        image, self.out / 'labels' / name.with_suffix('') / f'{frame:06d}.png',
                        file_name=name.as_posix(), frame=frame)
                    if writer is None:
                        height, width = image.shape[:2]
                        writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter.fourcc(*'mp4v'),
                                                 video.rate, (width, height))
                    writer.write(draw(image, outputs, self.session.metadata, self.score_thr))
                    progress.advance(task)
                    frames += 1
                if writer is None:
                    raise OSError(f'{source} has no frames that OpenCV reads')
                writer.release()
        finally:
            progress.remove_task(task)
        if frames < 0.9 * video.number:  # some containers count a few too many
            raise OSError(f'ends after {frames} of {video.number} frames')

    def _predict(self, image: np.ndarray, labels: Path, **where: Any) -> dict[str, np.ndarray]:
        outputs = self.session(image)
        if self.session.metadata.task == 'segmentation':
            self._check_new(labels)
            maps = outputs['labels']  # PNG has 8 or 16 bits
            self._write(labels, maps if maps.dtype == np.uint8 else maps.astype(np.uint16))
        else:
            for box, score, label in zip(*(outputs[name] for name in ('boxes', 'scores',
                                                                      'labels'))):
                x1, y1, x2, y2 = box.tolist()
                self.boxes.append(dict(
                    image_id=self.number, category_id=int(label),
                    bbox=[x1, y1, x2 - x1, y2 - y1], score=float(score), **where))
        self.number += 1
        return outputs

    def _write(self, file: Path, image: np.ndarray) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        written, data = cv2.imencode(file.suffix, image)
        if not written:
            raise OSError(f'OpenCV cannot write {file}')
        with atomic_write(file) as unfinished:
            unfinished.write_bytes(data.tobytes())

    def _check_new(self, file: Path) -> None:
        if file.resolve() in self.inputs:
            raise ValueError(f'{file} is an input, which is never overwritten: give another --out')
        if file.exists() and not self.overwrite:
            raise FileExistsError(f'{file} exists already: give --overwrite or another --out')

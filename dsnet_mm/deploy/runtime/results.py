"""Writing the predictions for images and videos, as JSON, label maps and drawings."""
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.runtime.drawing import draw
from dsnet_mm.deploy.runtime.images import Video, is_video, read_image
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_new

import cv2
import numpy as np
from rich.progress import Progress


class ResultWriter:
    """Predicts for images and videos, and writes the results to a folder.

    Args:
        session (Session): The exported file.
        inputs (Iterable[Path]): Files that must not be overwritten.
        out (Path): The output folder.
        score_thr (float): Boxes of a lower score are not drawn.
        overwrite (bool): Replace existing results.

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
            self._check(self._json)

    @property
    def _json(self) -> Path:
        return self.out / 'results.json'

    def add(self, source: Path, name: Path, progress: Progress) -> None:
        """Predicts for one image or video.

        Args:
            source (Path): The file.
            name (Path): The path of its results, relative to the output folder.
            progress (Progress): Shows the frames of a video.

        Raises:
            OSError, ValueError: If it cannot be read, or a result exists.
        """
        if is_video(source):
            self._add_video(source, name, progress)
            return
        image = read_image(source)
        drawn = self.out / 'drawn' / name
        if not cv2.haveImageWriter(str(drawn)):
            raise ValueError(f'OpenCV writes no files with suffix {name.suffix!r}: rename it, '
                             'for example to .png')
        self._check(drawn)
        outputs = self._predict(image, self.out / 'labels' / name.with_suffix('.png'),
                                file_name=name.as_posix())
        self._write(drawn, draw(image, outputs, self.session.metadata, self.score_thr))

    def finish(self) -> None:
        """Writes ``results.json`` of a detector."""
        if self.session.metadata.task == 'detection':
            self.out.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._json) as unfinished:
                unfinished.write_text(json.dumps(self.boxes))

    def _add_video(self, source: Path, name: Path, progress: Progress) -> None:
        video = Video(source)
        drawn = self.out / 'drawn' / name.with_suffix('.mp4')
        self._check(drawn)
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
            self._check(labels)
            label_map = outputs['labels']
            if label_map.dtype != np.uint8:  # PNG has 8 or 16 bits
                label_map = label_map.astype(np.uint16)
            self._write(labels, label_map)
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

    def _check(self, file: Path) -> None:
        check_new(file, self.inputs, self.overwrite)

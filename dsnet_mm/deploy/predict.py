"""Runs an exported file on images and videos: ``dsnet-mm predict model.onnx IN --out DIR``.

Needs onnxruntime, numpy, OpenCV and rich; no PyTorch.
"""
import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.drawing import draw
from dsnet_mm.deploy.files import Video, find, is_video, read_image
from dsnet_mm.deploy.session import Session
from dsnet_mm.files import atomic_write

import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress

EPILOG = """\
Folders are searched with their sub-folders, which --out gets as well. Of every image and video OUT
gets a drawn one in drawn/, and besides

- of a detector results.json: COCO's layout of results, a list of {"image_id", "category_id",
  "bbox": [x, y, width, height], "score"}, where category_id is the label, from 0 on, image_id
  counts images and frames from 0 on, and "file_name" and, in videos, "frame" say which one it is;
- of a segmenter labels/: a PNG file of labels for each image; for each frame in a video's folder.

Inputs are never overwritten. Files that cannot be read, and outputs that exist already, are left
as they are, listed at the end, and make the exit status 1. After Ctrl-C there are the results of
what was predicted until then.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        int: Exit status: 0 if everything was predicted, 1 if something was not.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.threads < 0:
        parser.error(f'--threads must not be negative, got {args.threads}')
    if not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr must be from 0 to 1, got {args.score_thr}')
    try:
        session = Session(args.model, args.threads)
        inputs = find(args.inputs, args.out)
        results = Results(session, inputs, args.out, args.score_thr, args.overwrite)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    console = Console(stderr=True)
    failures: dict[Path, Exception] = {}
    done = 0
    try:
        with Progress(console=console) as progress:
            task = progress.add_task('Predicting', total=len(inputs))
            for source, name in inputs.items():
                try:
                    results.add(source, name, progress)
                    done += 1
                except (OSError, ValueError) as error:
                    failures[source] = error
                progress.advance(task)
    except KeyboardInterrupt:
        console.print('Interrupted. --overwrite starts over.')
    results.finish()
    report = [f'{source}: {error}' for source, error in failures.items()]
    report.append(f'{done} of {len(inputs)} files predicted into {args.out}')
    console.print(*report, sep='\n', markup=False, highlight=False, soft_wrap=True)
    return int(done < len(inputs))


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


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'dsnet-mm predict', epilog=EPILOG,
        description='Finds boxes or labels in images and videos with an exported file.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy"')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN',
                        help='images, videos, or folders')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='output folder')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='boxes with a smaller score are not drawn (default: 0.3)')
    parser.add_argument('--threads', type=int, default=0, help='of onnxruntime (default: cores)')
    parser.add_argument('--overwrite', action='store_true', help='replace outputs that exist')
    return parser


if __name__ == '__main__':
    sys.exit(main())

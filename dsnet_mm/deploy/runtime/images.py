"""Reading images and videos, and where their results go; needs no PyTorch."""
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm')


def read_image(file: Path) -> np.ndarray:
    """An image (H, W, 3), unsigned 8-bit, BGR, as mmcv reads it.

    Raises:
        OSError: If it cannot be read.
    """
    data = np.fromfile(file, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise OSError(f'{file} is no image that OpenCV reads')
    if file.suffix.lower() in ('.tif', '.tiff'):  # others hold integers
        kind = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)).dtype
        if kind.kind != 'u':
            raise OSError(f'{file} holds {kind} numbers: save it with 8 or 16 bits, unsigned')
    return image


class Video:
    """The frames (H, W, 3) of a video, unsigned 8-bit, BGR.

    Args:
        file (Path): The video.

    Raises:
        OSError: If it cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self.capture = cv2.VideoCapture(str(file))
        if not self.capture.isOpened():
            raise OSError(f'{file} is no video that OpenCV reads')
        self.rate = self.capture.get(cv2.CAP_PROP_FPS) or 25.
        self.number = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            there, frame = self.capture.read()
            if not there:
                break
            yield frame
        self.capture.release()


def find(inputs: Iterable[Path], out: Path) -> dict[Path, Path]:
    """The images and videos at some paths, each with its name below the output folder.

    Args:
        inputs (Iterable[Path]): Files, and folders, which are searched with their sub-folders.
        out (Path): The output folder. What lies in it is no input.

    Raises:
        FileNotFoundError: If a path does not exist, or nothing is found.
        NotADirectoryError: If the output folder is a file.
        ValueError: If two inputs would have results of one name, or an input folder lies in the
            output folder.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f'{out} is a file: give a folder')
    names: dict[Path, Path] = {}
    for path in inputs:
        if path.is_file():
            names[path] = Path(path.name)
        elif path.is_dir():
            if path.resolve().is_relative_to(out.resolve()):
                raise ValueError(f'{path} lies in the output folder {out}: give another --out')
            names.update({
                file: file.relative_to(path) for file in sorted(path.rglob('*'))
                if file.suffix.lower() in IMAGES + VIDEOS and file.is_file()
                and not file.resolve().is_relative_to(out.resolve())})
        else:
            raise FileNotFoundError(f'{path} does not exist')
    if not names:
        raise FileNotFoundError(f'nothing in {", ".join(map(str, inputs))}: looked for '
                                f'{" ".join(IMAGES + VIDEOS)}')
    taken: dict[Path, Path] = {}
    for source, name in names.items():
        other = taken.setdefault(name.with_suffix(''), source)
        _check_differ(source, other)
    for source, name in names.items():
        for folder in name.parents:  # a video's frames have a folder of its name
            other = taken.get(folder, source)
            if is_video(other):
                _check_differ(source, other)
    return names


def _check_differ(source: Path, other: Path) -> None:
    if other != source:
        raise ValueError(f'{other} and {source} would have results of one name: predict them one '
                         'after the other with another --out')


def is_video(file: Path) -> bool:
    """Whether a file is a video, by its name."""
    return file.suffix.lower() in VIDEOS

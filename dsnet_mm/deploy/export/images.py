"""The images that a file is checked on."""
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsnet_mm.deploy.runtime.images import IMAGES, read_image

import cv2
import numpy as np

MADE_SIZES = ((300, 400), (263, 331), (480, 360), (512, 512))  # height and width in pixels


def pick(folder: Path, number: int) -> list[Path]:
    """Picks some images of a folder and its sub-folders, spread over it; all where it has fewer.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        NotADirectoryError: If it is a file.
    """
    if not folder.exists():
        raise FileNotFoundError(f'there is no folder {folder}')
    if not folder.is_dir():
        raise NotADirectoryError(f'{folder} is a file: give the folder of the images')
    files = sorted(file for file in folder.rglob('*')
                   if file.suffix.lower() in IMAGES and file.is_file())
    if not files:
        raise FileNotFoundError(f'no images in {folder}: looked for {" ".join(IMAGES)}')
    number = min(number, len(files))
    return [files[place * len(files) // number] for place in range(number)]


def load(folder: Path, number: int, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """The first images of a folder, spread over it, and of each second one a part besides, so that
    several sizes are seen.

    Args:
        folder (Path): Is searched with its sub-folders.
        number (int): How many files.
        size (tuple[int, int], optional): Height and width in pixels to which all are brought.

    Returns:
        Iterator[np.ndarray]: (H, W, 3), unsigned 8-bit, BGR. Each is read when it is asked for,
        which raises OSError if it cannot be read.

    Raises:
        FileNotFoundError: If there are no images.
        NotADirectoryError: If the folder is a file.
    """
    return _load(pick(folder, number), size)


def _load(files: Sequence[Path], size: tuple[int, int] | None) -> Iterator[np.ndarray]:
    for place, file in enumerate(files):
        image = read_image(file)
        if size is not None:
            yield fit(image, size)
            continue
        yield image
        height, width = image.shape[:2]
        if place % 2 and min(height, width) > 8:
            yield image[height // 7:, :width - width // 5].copy()


def make(size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """Made images of several sizes, or of one: clouds of colour with bright and dark shapes."""
    random = np.random.default_rng(0)
    for height, width in MADE_SIZES if size is None else 3 * (size, ):
        clouds = random.integers(40, 216, (8, 8, 3), dtype=np.uint8)
        image = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            centre = random.integers(0, (width, height)).tolist()
            axes = random.integers(3, 3 + max(1, min(height, width) // 6), 2).tolist()
            colour = random.integers(0, 256, 3).tolist()
            cv2.ellipse(image, centre, axes, float(random.integers(180)), 0, 360, colour, -1)
        yield image


def fit(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image (H, W, 3) brought to height and width in pixels."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)

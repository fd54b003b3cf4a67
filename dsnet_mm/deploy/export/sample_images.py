"""The images on which an exported file is checked."""
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsnet_mm.deploy.runtime.images import fit, read_image

import cv2
import numpy as np

SYNTHETIC_SIZES = ((300, 400), (263, 331), (480, 360), (512, 512))  # height and width in pixels


def load_images(files: Iterable[Path],
                size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """Reads images (H, W, 3), uint8, BGR, each when it is asked for.

    Args:
        files (Iterable[Path]): The files.
        size (tuple[int, int], optional): Height and width in pixels to which all are resized.
            Default: unchanged, with a crop of every second one added, so that the sizes differ.

    Raises:
        OSError: If a file cannot be read.
    """
    for index, file in enumerate(files):
        image = read_image(file)
        if size is not None:
            yield fit(image, size)
            continue
        yield image
        height, width = image.shape[:2]
        if index % 2 and min(height, width) > 8:
            yield image[height // 7:, :width - width // 5].copy()


def synthetic_images(size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """Smooth random colours with random ellipses, in several sizes or the given one."""
    random = np.random.default_rng(0)
    for height, width in SYNTHETIC_SIZES if size is None else 3 * (size, ):
        coarse = random.integers(40, 216, (8, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            centre = random.integers(0, (width, height)).tolist()
            axes = random.integers(3, 3 + max(1, min(height, width) // 6), 2).tolist()
            colour = random.integers(0, 256, 3).tolist()
            cv2.ellipse(image, centre, axes, float(random.integers(180)), 0, 360, colour, -1)
        yield image

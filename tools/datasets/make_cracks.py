"""Generates the quickstart's data set: thin cracks in photographs, for segmentation.

The photographs are part of scikit-image's wheel, so nothing is downloaded. Cracks are one to three
pixels wide, like retinal vessels, wires or scratches: at 0.3× most are thinner than a pixel. Every
photograph is cut in two, one part for training and one for validation.

    DIR/images/{train,val}/*.png         images
    DIR/annotations/{train,val}/*.png    label maps: 1 is crack, 0 is not
"""
from pathlib import Path

import cv2
import numpy as np
from make_dataset import crop, new_folder, run
from rich.progress import track
from skimage import data

SIZE = 240
# Surfaces, whose two halves are alike.
PHOTOS = (data.brick, data.gravel, data.grass, data.moon, data.immunohistochemistry)
FINER = 4  # antialiasing: cracks are drawn at this many times the resolution, and averaged


def load_photo(load, part: str) -> np.ndarray:
    """The left half of a photograph (H, W, 3) for training, the right half for validation."""
    photo = load()
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    middle = photo.shape[1] // 2
    return photo[:, :middle] if part == 'train' else photo[:, middle:]


def wander(start: np.ndarray, direction: float, length: float,
           rng: np.random.Generator) -> np.ndarray:
    """The points (n, 2) of a random walk, two pixels apart."""
    turns = np.cumsum(rng.normal(0, 0.22, max(2, round(length / 2))))
    steps = 2 * np.stack([np.cos(direction + turns), np.sin(direction + turns)], axis=1)
    return start + np.cumsum(steps, axis=0)


def draw_cracks(rng: np.random.Generator) -> np.ndarray:
    """The fraction (H, W) of each pixel that is crack, from 0 to 1."""
    canvas = np.zeros((SIZE * FINER, SIZE * FINER), np.uint8)
    for _ in range(rng.integers(4, 9)):
        direction, width = rng.uniform(0, 2 * np.pi), rng.uniform(1, 3)
        trunk = wander(rng.uniform(0, SIZE, 2), direction, rng.uniform(80, 240), rng)
        lines = [(trunk, width)]
        for _ in range(rng.integers(4)):
            side = direction + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
            lines.append((wander(trunk[rng.integers(len(trunk))], side, rng.uniform(30, 100), rng),
                          max(1, width * rng.uniform(0.4, 0.8))))
        for points, thickness in lines:
            cv2.polylines(canvas, [np.round(points * FINER).astype(np.int32)], False, 255,
                          round(thickness * FINER))
    return cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / np.float32(255)


def compose(photos: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) with cracks and its label map (H, W).

    The cracks are darker than their surroundings; in a dark photograph, lighter.
    """
    photo = crop(photos[rng.integers(len(photos))], SIZE, SIZE, rng).astype(np.float32)
    covered = draw_cracks(rng)
    contrast = rng.uniform(40, 90) * (-1 if photo.mean() > 80 else 1)
    crack = cv2.GaussianBlur(photo, (0, 0), 3) + contrast
    image = photo + covered[..., None] * (crack - photo)
    return np.clip(np.round(image), 0, 255).astype(np.uint8), (covered >= 0.5).astype(np.uint8)


def make_cracks(out: Path, train: int, val: int, seed: int) -> None:
    """Writes the data set completely or not at all; FileExistsError if the folder exists."""
    with new_folder(out) as partial:
        for index, (part, number) in enumerate((('train', train), ('val', val))):
            photos = [load_photo(load, part) for load in PHOTOS]
            for folder in ('images', 'annotations'):
                (partial / folder / part).mkdir(parents=True)
            for i in track(range(number), f'{part} images'):
                image, labels = compose(photos, np.random.default_rng((seed, index, i)))
                cv2.imwrite(str(partial / f'images/{part}/{i:05d}.png'), image[..., ::-1])
                cv2.imwrite(str(partial / f'annotations/{part}/{i:05d}.png'), labels)


if __name__ == '__main__':
    run(make_cracks, __doc__.splitlines()[0], 'data/cracks', train=200, val=60)

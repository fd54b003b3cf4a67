"""Generates the textures data set: textured shapes on photographs, for detection and segmentation.

All pixels are from photographs in scikit-image's wheel, so nothing is downloaded. An object's class
is its texture, and textures are grey and of equal brightness and contrast: only fine detail
distinguishes the classes. Every photograph is cut in two, one part for training and one for
validation.

    DIR/JPEGImages/*.jpg           images
    DIR/Annotations/*.xml          boxes, PASCAL VOC
    DIR/SegmentationClass/*.png    label maps, 0 is background
    DIR/ImageSets/Main/{train,val}.txt
"""
import argparse
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from skimage import data, draw

SIZE = 300
MIN_SIDE, MAX_SIDE = 36, 84  # of an object
CLASSES = ('brick', 'grass', 'gravel', 'tissue', 'print')
TEXTURES = dict(zip(CLASSES, (data.brick, data.grass, data.gravel, data.immunohistochemistry,
                              data.page)))
BACKGROUNDS = (data.astronaut, data.coffee, data.chelsea, data.rocket, data.retina, data.camera)
TRAIN_SHARE = 0.6


def split(photo: np.ndarray, part: str) -> np.ndarray:
    """The left part of a photograph for training, the rest for validation."""
    border = round(photo.shape[1] * TRAIN_SHARE)
    return photo[:, :border] if part == 'train' else photo[:, border:]


def load_texture(load, part: str) -> np.ndarray:
    """A grey photograph (H, W) of mean 128 and standard deviation 40."""
    photo = load().astype(np.float32)
    if photo.ndim == 3:
        photo = photo.mean(axis=2)
    if min(photo.shape) > 4 * MAX_SIDE:  # finer detail, where enough of the photograph remains
        photo = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    photo = split(photo, part)
    # Remove uneven lighting, which would reveal the class without any detail.
    photo = photo - cv2.GaussianBlur(photo, (0, 0), 16)
    return np.clip(photo / photo.std() * 40 + 128, 0, 255)


def load_background(load, part: str) -> np.ndarray:
    """A colour photograph (H, W, 3) with the shorter side at least as long as an image."""
    photo = load()
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    photo = split(photo, part)
    factor = max(1, SIZE / min(photo.shape[:2]))
    height, width = (int(np.ceil(side * factor)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR)


def crop(photo: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = (rng.integers(n - m + 1) for n, m in zip(photo.shape, (height, width)))
    patch = photo[y:y + height, x:x + width]
    return patch[:, ::-1] if rng.random() < 0.5 else patch


def shape(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A mask (height, width) that touches all four sides: an ellipse, rectangle or polygon."""
    mask = np.zeros((height, width), bool)
    kind = rng.integers(3)
    if kind == 0:
        mask[draw.ellipse((height - 1) / 2, (width - 1) / 2, height / 2, width / 2,
                          shape=mask.shape)] = True
    elif kind == 1:
        mask[:] = True
    else:  # one corner on each side
        y, x = (rng.uniform(0.2, 0.8, 2) * (n - 1) for n in (height, width))
        mask[draw.polygon([0, y[0], height - 1, y[1]], [x[0], width - 1, x[1], 0])] = True
    return mask


def compose(textures: dict[str, np.ndarray], backgrounds: list[np.ndarray],
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    """An image (H, W, 3), its label map (H, W) and its objects (class, x1, y1, x2, y2).

    Box corners are inclusive and count from 0. Objects do not overlap.
    """
    image = crop(backgrounds[rng.integers(len(backgrounds))], SIZE, SIZE, rng).copy()
    labels = np.zeros((SIZE, SIZE), np.uint8)
    objects = []
    for _ in range(rng.integers(4, 10)):
        height, width = rng.integers(MIN_SIDE, MAX_SIDE + 1, 2)
        y, x = rng.integers(SIZE - height + 1), rng.integers(SIZE - width + 1)
        window = np.s_[y:y + height, x:x + width]
        if labels[window].any():
            continue
        mask = shape(height, width, rng)
        label = rng.integers(len(CLASSES))
        patch = crop(textures[CLASSES[label]], height, width, rng)
        image[window][mask] = patch[mask][:, None]
        labels[window][mask] = label + 1
        rows, columns = np.nonzero(mask)
        objects.append((CLASSES[label], x + columns.min(), y + rows.min(),
                        x + columns.max(), y + rows.max()))
    return image, labels, objects


def annotation(name: str, objects: list[tuple]) -> ET.ElementTree:
    """PASCAL VOC's XML, whose corners count from 1 and are inclusive."""
    root = ET.Element('annotation')
    ET.SubElement(root, 'filename').text = f'{name}.jpg'
    size = ET.SubElement(root, 'size')
    for key, value in (('width', SIZE), ('height', SIZE), ('depth', 3)):
        ET.SubElement(size, key).text = str(value)
    for kind, *corners in objects:
        node = ET.SubElement(root, 'object')
        ET.SubElement(node, 'name').text = kind
        ET.SubElement(node, 'difficult').text = '0'
        box = ET.SubElement(node, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners):
            ET.SubElement(box, key).text = str(value + 1)
    ET.indent(root)
    return ET.ElementTree(root)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``out`` in the end; FileExistsError if that exists."""
    if out.exists():
        raise FileExistsError(f'{out} exists: remove it or choose another folder')
    partial = out.with_name(out.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    partial.rename(out)


def make_dataset(out: Path, train: int, val: int, seed: int) -> None:
    """Writes the data set completely or not at all; FileExistsError if the folder exists."""
    with new_folder(out) as partial:
        for folder in ('JPEGImages', 'Annotations', 'SegmentationClass', 'ImageSets/Main'):
            (partial / folder).mkdir(parents=True)
        for index, (part, number) in enumerate((('train', train), ('val', val))):
            textures = {name: load_texture(load, part) for name, load in TEXTURES.items()}
            backgrounds = [load_background(load, part) for load in BACKGROUNDS]
            names = [f'{part}_{i:05d}' for i in range(number)]
            for i, name in enumerate(track(names, f'{part} images')):
                image, labels, objects = compose(textures, backgrounds,
                                                 np.random.default_rng((seed, index, i)))
                cv2.imwrite(str(partial / f'JPEGImages/{name}.jpg'), image[..., ::-1],
                            [cv2.IMWRITE_JPEG_QUALITY, 95])
                cv2.imwrite(str(partial / f'SegmentationClass/{name}.png'), labels)
                annotation(name, objects).write(partial / f'Annotations/{name}.xml')
            (partial / f'ImageSets/Main/{part}.txt').write_text('\n'.join(names) + '\n')


def run(make: Callable[[Path, int, int, int], None], description: str, out: str, train: int,
        val: int) -> None:
    """The command that makes a data set, with these defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--out', type=Path, default=Path(out))
    parser.add_argument('--train', type=int, default=train, help='training images')
    parser.add_argument('--val', type=int, default=val, help='validation images')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    try:
        make(args.out, args.train, args.val, args.seed)
    except FileExistsError as error:
        raise SystemExit(str(error)) from None


if __name__ == '__main__':
    run(make_dataset, __doc__.splitlines()[0], 'data/textures', train=600, val=100)

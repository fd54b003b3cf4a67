"""The pictures of a comparison: images, resized by each variant, with its predictions."""
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsnet_mm.comparison.results import load, save
from dsnet_mm.config import in_scope
from dsnet_mm.resizers import ConvexResizer
from dsnet_mm.visualization import COLORMAPS, coefficient_maps, image_to_rgb, map_to_rgb

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import VISUALIZERS
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

INDEX = 'index.json'


@dataclass
class Picture:
    """A picture of an image, in a file of the gallery's folder."""
    caption: str
    file: str


@dataclass
class ImagePictures:
    """All pictures of one image."""
    image: str  # name of its file
    pictures: list[Picture]


def write_gallery(cfg: Config, models: Mapping[str, BaseModel], dataset: BaseDataset, folder: Path,
                  images: int = 3) -> None:
    """Writes pictures of a few images of the validation set, and ``index.json``, which names them.

    All have the size of the input image; resized images are enlarged by nearest neighbour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with in_scope(cfg, VISUALIZERS) as registry:
        visualizer = registry.build(
            dict(cfg.visualizer, name='gallery', vis_backends=None, save_dir=None))
    visualizer.dataset_meta = dataset.metainfo
    index = []
    for number in range(images):
        sample = dataset[(2 * number + 1) * len(dataset) // (2 * images)]
        pictures = []
        for row, (caption, rgb) in enumerate(_pictures(models, sample, visualizer)):
            file = f'{number}-{row}.png'
            mmcv.imwrite(rgb[..., ::-1], str(folder / file))
            pictures.append(Picture(caption, file))
        index.append(ImagePictures(Path(sample['data_samples'].img_path).name, pictures))
    save(index, folder / INDEX)


def read_gallery(folder: Path) -> list[ImagePictures]:
    """The contents of ``index.json``; empty if there is none."""
    return load(list[ImagePictures], folder / INDEX) if (folder / INDEX).exists() else []


@torch.no_grad()
def _pictures(models: Mapping[str, BaseModel], sample: dict,
              visualizer: Visualizer) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the caption and the RGB pixels of each picture of an image."""
    image = mmcv.imread(sample['data_samples'].img_path, channel_order='rgb')
    height, width = image.shape[:2]
    enlarge = partial(mmcv.imresize, size=(width, height), interpolation='nearest')
    for number, (variant, model) in enumerate(models.items()):
        batch = pseudo_collate([copy.deepcopy(sample)])
        found = model.test_step(batch)[0]
        if number == 0:
            yield (f'ground truth, {width}×{height} pixels',
                   _draw(visualizer, image, found, draw_pred=False))
        preprocessor = model.data_preprocessor
        images = preprocessor.cast_data(batch['inputs'])
        [resized] = preprocessor.resize(images)
        # CenterNet's pipeline may have put the image into the middle of a larger one.
        top, bottom, left, right = (round(float(side)) for side in found.get(
            'border', (0, resized.shape[1], 0, resized.shape[2])))
        inside = slice(top, bottom), slice(left, right)
        pixels = enlarge(image_to_rgb(resized)[inside])
        size = f'{resized.shape[2]}×{resized.shape[1]}'
        if 'pred_sem_seg' in found:  # its colours hide the image
            yield f'{variant}, {size}', pixels
        yield (f'{variant}, {size}, with the predictions',
               _draw(visualizer, pixels, found, draw_gt=False))
        net = preprocessor.resizer
        if isinstance(net, ConvexResizer) and net.starts_as_image:
            maps = coefficient_maps(net, images[0][None].to(resized.dtype), resized.shape[-2:])
            distance = maps['distance'][0][inside]
            highest = max(distance.max().item(), 1e-6)
            yield (f'{variant}: distance of its coefficients from those before training, dark 0 to '
                   f'bright {highest:.2g}',
                   enlarge(map_to_rgb(distance, COLORMAPS['distance'], highest)))


def _draw(visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement,
          **what: bool) -> np.ndarray:
    visualizer.add_datasample('picture', image, sample, **what)
    return visualizer.get_image()

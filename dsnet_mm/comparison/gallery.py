"""The pictures of a comparison: images, resized by each variant, with its predictions."""
import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

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


def write_gallery(cfg: Config, models: Mapping[str, BaseModel], dataset: BaseDataset, folder: Path,
                  images: int = 3) -> None:
    """Writes pictures of a few images of the validation set, and ``index.json``, which names them.

    All pictures of an image have its original size; small images are enlarged without smoothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    visualizer = _build_visualizer(cfg, dataset)
    index = []
    for number in range(images):
        sample = dataset[(2 * number + 1) * len(dataset) // (2 * images)]
        name = Path(sample['data_samples'].img_path).name
        rows = []
        for row, (what, caption, picture) in enumerate(_pictures(models, sample, visualizer)):
            file = f'{number}-{row}.png'
            mmcv.imwrite(picture[..., ::-1], str(folder / file))
            rows.append(dict(caption=caption, alt=f'{name}: {what}', file=file))
        index.append(dict(image=name, rows=rows))
    (folder / 'index.json').write_text(json.dumps(index, indent=2), encoding='utf-8')


def _build_visualizer(cfg: Config, dataset: BaseDataset) -> Visualizer:
    with in_scope(cfg, VISUALIZERS) as registry:
        visualizer = registry.build(
            dict(cfg.visualizer, name='gallery', vis_backends=None, save_dir=None))
    visualizer.dataset_meta = dataset.metainfo
    return visualizer


@torch.no_grad()
def _pictures(models: Mapping[str, BaseModel], sample: dict,
              visualizer: Visualizer) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields a description, a caption and the RGB pixels of each picture of an image."""
    image = mmcv.imread(sample['data_samples'].img_path, channel_order='rgb')
    height, width = image.shape[:2]
    shown = False
    for variant, model in models.items():
        batch = pseudo_collate([copy.deepcopy(sample)])
        found = model.test_step(batch)[0]
        if not shown:
            shown = True
            yield ('the image with the ground truth', f'ground truth, {width}×{height} pixels',
                   _draw(visualizer, image, found, draw_pred=False))
        preprocessor = model.data_preprocessor
        large = preprocessor.cast_data(batch['inputs'])
        [small] = preprocessor.resize(large)
        # CenterNet's pipeline may have put the image into the middle of a larger one.
        top, bottom, left, right = (round(float(side)) for side in found.get(
            'border', (0, small.shape[1], 0, small.shape[2])))
        inside = slice(top, bottom), slice(left, right)
        pixels = _enlarge(image_to_rgb(small)[inside], width, height)
        size = f'{small.shape[2]}×{small.shape[1]}'
        if 'pred_sem_seg' in found:  # its colours hide the image
            yield f'shrunk by {variant}', f'{variant}, {size}', pixels
        yield (f'shrunk by {variant}, with the predictions', f'{variant}, {size}, predictions',
               _draw(visualizer, pixels, found, draw_gt=False))
        net = preprocessor.resizer
        if isinstance(net, ConvexResizer) and net.starts_as_image:
            maps = coefficient_maps(net, large[0][None].to(small.dtype),
                                    small.shape[-2:])
            distance = maps['distance'][0][inside]
            highest = max(distance.max().item(), 1e-6)
            colors = map_to_rgb(distance, COLORMAPS['distance'], highest)
            yield (f'how far the coefficients of {variant} are from their start',
                   f'{variant}: distance of its coefficients from those before training, '
                   f'dark 0 to bright {highest:.2g}',
                   _enlarge(colors, width, height))


def _draw(visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement,
          **what: bool) -> np.ndarray:
    visualizer.add_datasample('picture', image, sample, **what)
    return visualizer.get_image()


def _enlarge(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return mmcv.imresize(image, (width, height), interpolation='nearest')

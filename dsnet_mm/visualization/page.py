"""A page that compares what resizers do to an image."""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsnet_mm.config import scope_of
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers import GuidedUpsampling
from dsnet_mm.resizers.ops.size import size_of
from dsnet_mm.visualization.maps import (
    COLORMAPS,
    DETAIL_RANGE,
    image_to_rgb,
    resize,
    tile_detail,
    upsampling_maps,
)

import cv2
import matplotlib
import mmcv
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor, nn

CAPTIONS = {
    'argmax': 'largest coefficient',
    'entropy': 'entropy of the coefficients',
    'distance': 'distance to the prior',
}
# Directions of the neighbours by their number: two by two, and three by three.
ARROWS = {4: '↖↗↙↘', 9: '↖↑↗←·→↙↓↘'}


class InputImage(NamedTuple):
    """An image as the resizers get it."""
    image: Tensor  # (C, H, W), from the test pipeline
    shape: tuple[int, int]  # height and width of the file's image
    extent: tuple[float, float, float, float]  # left, right, bottom, top in the file's pixels


def build_pipeline(cfg: Config) -> Compose:
    """The config's test pipeline for an image that is loaded and has no annotations."""
    loader, *transforms = (transform for transform in get_test_pipeline_cfg(cfg)
                           if 'Annotations' not in str(transform.type))
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        return Compose([{**loader, 'type': 'LoadImageFromNDArray'}, *transforms])


def load_image(path: Path, pipeline: Compose) -> InputImage:
    """Loads an image as the resizers get it; OSError if it cannot be read."""
    try:
        pixels = mmcv.imread(str(path))
    except (OSError, cv2.error) as error:
        raise OSError(f'cannot read the image {path}: {error}') from None
    if pixels is None:
        raise OSError(f'cannot read the image {path}: it is no image, or of an unknown format')
    data = pipeline(dict(img=pixels, img_id=0))
    meta = data['data_samples'].metainfo
    x_factor, y_factor = meta.get('scale_factor', (1, 1))
    top, _, left, _ = meta.get('border', (0, 0, 0, 0))  # of CenterNet, which centres in padding
    height, width = data['inputs'].shape[-2:]
    return InputImage(data['inputs'], pixels.shape[:2],
                      (-left / x_factor, (width - left) / x_factor,
                       (height - top) / y_factor, -top / y_factor))


def check_crop(crop: list[int], source: InputImage, path: Path) -> None:
    """Raises ValueError if the crop (x, y, width, height) is not inside the image."""
    (x, y, width, height), (rows, columns) = crop, source.shape
    if not (0 <= x < x + width <= columns and 0 <= y < y + height <= rows):
        raise ValueError(f'--crop {x} {y} {width} {height} (X Y W H) is not inside {path}, which '
                         f'is {columns}x{rows} pixels')


def most_different(images: list[Tensor], source: InputImage) -> Sequence[float]:
    """The crop (x, y, width, height), a quarter of each side, in which the images differ most."""
    stacked = torch.stack(images)
    spread = (stacked.amax(dim=0) - stacked.amin(dim=0)).mean(dim=0)
    (h, w), (left, right, bottom, top) = spread.shape, source.extent
    window = max(1, h // 4), max(1, w // 4)
    means = F.avg_pool2d(spread[None], window, stride=1)[0]
    row, column = divmod(int(means.argmax()), means.shape[1])
    x_pixel, y_pixel = (right - left) / w, (bottom - top) / h
    return [left + column * x_pixel, top + row * y_pixel, window[1] * x_pixel, window[0] * y_pixel]


def draw_map(axes: Axes, kind: str, values: Tensor, source: InputImage, highest: float) -> None:
    colors, low, high = matplotlib.colormaps[COLORMAPS[kind]], 0., highest
    number = int(highest) + 1
    if kind == 'argmax':
        colors, low, high = colors.resampled(number), -0.5, highest + 0.5
    shown = axes.imshow(values.numpy(), cmap=colors, vmin=low, vmax=high, extent=source.extent,
                        interpolation='nearest' if kind == 'argmax' else 'auto')
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=8)
    if kind == 'argmax' and number in ARROWS:
        bar.set_ticks(range(number), labels=ARROWS[number])
        bar.ax.tick_params(labelsize=12)
        bar.ax.invert_yaxis()


def draw_page(preprocessor: DownsizeMixin, resizers: dict[str, nn.Module],
              upsamplings: dict[str, GuidedUpsampling], source: InputImage,
              crop: Sequence[float] | None) -> Figure:
    """Images in the first row, crops in the second, maps of each network's coefficients, and the
    detail maps of each resizer that has any."""
    images, maps, neighbours, details = {}, {}, {}, {}
    for name, net in resizers.items():
        preprocessor.resizer = net
        images[name], values, neighbours[name], detail = resize(preprocessor, source.image)
        if values:
            maps[name] = values
        if detail is not None:
            details[name] = detail
    for name, upsampling in upsamplings.items():
        found = upsampling_maps(upsampling, source.image[None].float(), size_of(images[name]))
        name = f'{name}, guided upsampling'
        maps[name], neighbours[name] = {kind: values[0] for kind, values in found.items()}, 9
    magnified = crop or most_different(list(images.values()), source)
    # At least a hundredth, or rounding errors would be visible.
    farthest = max([0.01, *(float(values['distance'].max()) for values in maps.values())])

    rows = 2 + len(maps) + len(details)
    columns = max(1 + len(resizers), len(CAPTIONS) * bool(maps))
    height, width = source.shape
    figure = Figure(figsize=(3.4 * columns, rows * (2.7 * height / width + 0.4)),
                    layout='constrained')

    def axes(row: int, column: int) -> Axes:
        panel = figure.add_subplot(rows, columns, 1 + row * columns + column)
        panel.tick_params(labelsize=8)
        return panel

    x, y, dx, dy = magnified
    for column, (name, image) in enumerate({'input image': source.image, **images}.items()):
        pixels, whole, part = image_to_rgb(image), axes(0, column), axes(1, column)
        whole.imshow(pixels, extent=source.extent)
        whole.set_title(f'{name}, {image.shape[1]}×{image.shape[2]}', fontsize=10)
        part.imshow(pixels, extent=source.extent, interpolation='nearest')
        part.set(xlim=(x, x + dx), ylim=(y + dy, y))
    figure.axes[0].add_patch(Rectangle((x, y), dx, dy, fill=False, color='red'))
    for row, (name, values) in enumerate(maps.items(), 2):
        highest = dict(argmax=neighbours[name] - 1, entropy=1, distance=farthest)
        for column, (kind, caption) in enumerate(CAPTIONS.items()):
            panel = axes(row, column)
            draw_map(panel, kind, values[kind], source, highest[kind])
            panel.set_title(f'{name}: {caption}', fontsize=10)
    for row, (name, detail) in enumerate(details.items(), 3 + len(maps)):
        panel = figure.add_subplot(rows, 1, row)
        shown = panel.imshow(tile_detail(detail).numpy(), cmap=COLORMAPS['detail'],
                             vmin=-DETAIL_RANGE, vmax=DETAIL_RANGE)
        bar = figure.colorbar(shown, ax=panel, orientation='horizontal', shrink=0.3, aspect=40)
        bar.ax.tick_params(labelsize=8)
        panel.set(xticks=(), yticks=())
        panel.set_title(f'{name}: {len(detail)} detail maps', fontsize=10)
    return figure

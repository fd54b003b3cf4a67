"""Draws what resizers do to images: one page an image.

A page shows the image as the resizers get it from the config's test pipeline, the small images, a
magnified part of each, and for every learned resizer with coefficients three maps of them: which
neighbour weighs most, their entropy (0: one alone counts, 1: all alike), and their total variation
distance to the prior, the weights of an untrained network. If the config has a guided head, the
same maps of each checkpoint show which of nine small pixels each large one takes from on the way
back up. Numbers along the axes are pixels of the original image.
"""
import argparse
from pathlib import Path
from typing import NamedTuple

from dsnet_mm.config import build_model, load_config, scope_of
from dsnet_mm.preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import ConvexResizer, GuidedUpsampling
from dsnet_mm.visualization import COLORMAPS, coefficient_maps, image_to_rgb, upsampling_maps

import cv2
import matplotlib
import mmcv
import torch
import torch.nn.functional as F
from arms import parse_arm
from checkpoints import is_guided, load_resizer, load_upsampling
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor, nn

CAPTIONS = {
    'winner': 'heaviest neighbour',
    'entropy': 'entropy of the weights',
    'distance': 'distance to the prior',
}


class Large(NamedTuple):
    """An image on its way into the resizers.

    Attributes:
        image (Tensor): (C, H, W) as the pipeline hands it on.
        shape (tuple[int, int]): Height and width of the original image in pixels.
        extent (tuple[float, ...]): Where the left, right, bottom and top side of ``image`` are in
            pixels of the original image.
    """
    image: Tensor
    shape: tuple[int, int]
    extent: tuple[float, float, float, float]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a path, or mmdet::... or mmseg::... for one of theirs')
    parser.add_argument('checkpoints', nargs='*', metavar='CHECKPOINT',
                        help='trained models of the config, as PATH or NAME=PATH: each is an arm')
    parser.add_argument('--images', nargs='+', type=Path, required=True)
    parser.add_argument('--arms', nargs='*', default=['bilinear'],
                        help='further resizers, untrained: names of tools/arms.py or '
                        '"NAME=dict(type=...)" (default: bilinear)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/visualize'),
                        help='folder for the pages, <name of the image>.png')
    parser.add_argument('--crop', nargs=4, type=int, metavar=('X', 'Y', 'W', 'H'),
                        help='what to magnify, in pixels of the original image (default: where '
                        'the arms differ most)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override')
    args = parser.parse_args()
    try:
        args.arms = [parse_arm(text) for text in args.arms]
    except ValueError as error:
        parser.error(str(error))
    stems = [path.stem for path in args.images]
    for path in args.images:
        if stems.count(path.stem) > 1:
            parser.error(f'several --images are named {path.stem}, and so would be their pages: '
                         'draw them with different --out')
    return args


def build_preprocessor(cfg: Config, name: str) -> DownsizeMixin:
    preprocessor = build_model(cfg, cfg.model.get('data_preprocessor'))
    if not isinstance(preprocessor, DownsizeMixin):
        raise SystemExit(
            f'{name} has no resizer: add --cfg-options model.data_preprocessor.type='
            'dsnet_mm.DownsizeDetDataPreprocessor (or dsnet_mm.DownsizeSegDataPreProcessor) '
            'model.data_preprocessor.scale=0.5')
    return preprocessor.eval()


def build_arms(args: argparse.Namespace, cfg: Config) -> dict[str, nn.Module]:
    """The resizers by name: untrained ones, then those of the checkpoints."""
    own = cfg.model.data_preprocessor.get('resizer') or {}
    arms = [(name, build_resizer(config)) for name, config in args.arms]
    for text in args.checkpoints:
        name, named, path = text.partition('=')
        arms.append((name if named else Path(text).stem, load_resizer(own, path or text)))
    names = [name for name, _ in arms]
    if not arms or len(set(names)) < len(names):
        raise SystemExit(f'the arms need different names, got {names}: give checkpoints as '
                         'NAME=PATH')
    return {name: resizer.eval() for name, resizer in arms}


def load_upsamplings(args: argparse.Namespace, cfg: Config) -> dict[str, GuidedUpsampling]:
    """Of the checkpoints, by name, if the config has a guided head."""
    head = cfg.model.get('decode_head')
    if not is_guided(head, scope_of(cfg)):
        return {}
    pairs = [text.partition('=') for text in args.checkpoints]
    return {name if named else Path(name).stem: load_upsampling(head, path or name)
            for name, named, path in pairs}


def build_pipeline(cfg: Config) -> Compose:
    """The config's test pipeline for an image that is loaded and has no annotations."""
    loader, *transforms = (transform for transform in get_test_pipeline_cfg(cfg)
                           if 'Annotations' not in str(transform.type))
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        return Compose([{**loader, 'type': 'LoadImageFromNDArray'}, *transforms])


def load_image(path: Path, pipeline: Compose) -> Large:
    try:
        original = mmcv.imread(str(path))
    except (OSError, cv2.error) as error:
        raise SystemExit(f'cannot read the image {path}: {error}') from None
    if original is None:
        raise SystemExit(f'cannot read the image {path}: it is no image, or of no known format')
    data = pipeline(dict(img=original, img_id=0))
    meta = data['data_samples'].metainfo
    x_factor, y_factor = meta.get('scale_factor', (1, 1))
    top, _, left, _ = meta.get('border', (0, 0, 0, 0))  # of CenterNet, which centres in padding
    height, width = data['inputs'].shape[-2:]
    return Large(data['inputs'], original.shape[:2],
                 (-left / x_factor, (width - left) / x_factor,
                  (height - top) / y_factor, -top / y_factor))


def shrink(preprocessor: DownsizeMixin, resizer: nn.Module, image: Tensor) -> Tensor:
    """What the preprocessor makes of an image (C, H, W) with another resizer: (C, h, w)."""
    preprocessor.resizer = resizer
    [small] = preprocessor.resize([image])
    return small


def check_crop(crop: list[int], large: Large, path: Path) -> None:
    (x, y, width, height), (rows, columns) = crop, large.shape
    if not (0 <= x < x + width <= columns and 0 <= y < y + height <= rows):
        raise SystemExit(f'--crop {x} {y} {width} {height} (X Y W H) is not inside {path}, which '
                         f'is {columns}x{rows} pixels')


def most_different(smalls: list[Tensor], large: Large) -> list[float]:
    """The quarter by a quarter of the image in which its small versions differ most."""
    stacked = torch.stack(smalls)
    spread = (stacked.amax(dim=0) - stacked.amin(dim=0)).mean(dim=0)
    (h, w), (left, right, bottom, top) = spread.shape, large.extent
    window = max(1, h // 4), max(1, w // 4)
    means = F.avg_pool2d(spread[None], window, stride=1)[0]
    row, column = divmod(int(means.argmax()), means.shape[1])
    x_pixel, y_pixel = (right - left) / w, (bottom - top) / h
    return [left + column * x_pixel, top + row * y_pixel, window[1] * x_pixel, window[0] * y_pixel]


def draw_image(axes: Axes, image: Tensor, large: Large, title: str) -> None:
    axes.imshow(image_to_rgb(image), extent=large.extent)
    axes.set_title(f'{title}, {image.shape[2]}×{image.shape[1]}', fontsize=10)


def draw_crop(axes: Axes, image: Tensor, large: Large, crop: list[float]) -> None:
    x, y, width, height = crop
    axes.imshow(image_to_rgb(image), extent=large.extent, interpolation='nearest')
    axes.set(xlim=(x, x + width), ylim=(y + height, y))


def draw_map(axes: Axes, kind: str, values: Tensor, large: Large, highest: float) -> None:
    colors, low, high = matplotlib.colormaps[COLORMAPS[kind]], 0., highest
    if kind == 'winner':
        colors, low, high = colors.resampled(int(highest) + 1), -0.5, highest + 0.5
    shown = axes.imshow(values.numpy(), cmap=colors, vmin=low, vmax=high, extent=large.extent,
                        interpolation='nearest' if kind == 'winner' else 'auto')
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=8)
    if kind == 'winner' and highest == 3:
        bar.set_ticks(range(4), labels='↖↗↙↘')
        bar.ax.tick_params(labelsize=12)
        bar.ax.invert_yaxis()


def draw_page(preprocessor: DownsizeMixin, arms: dict[str, nn.Module],
              upsamplings: dict[str, GuidedUpsampling], large: Large,
              crop: list[int] | None) -> Figure:
    """Images in the first row, crops in the second, and maps of each network's coefficients."""
    smalls = {name: shrink(preprocessor, resizer, large.image) for name, resizer in arms.items()}
    crop = crop or most_different(list(smalls.values()), large)
    maps, neighbours = {}, {}
    for name, net in arms.items():
        if isinstance(net, ConvexResizer):
            images, size = large.image[None].to(smalls[name].dtype), smalls[name].shape[-2:]
            maps[name] = coefficient_maps(net, images, size)
            neighbours[name] = len(net.prior(images, size))
    for name, net in upsamplings.items():
        up = f'{name}, way up'
        maps[up] = upsampling_maps(net, large.image[None].float(), smalls[name].shape[-2:])
        neighbours[up] = 9
    # At least a hundredth, or rounding errors would look like something.
    farthest = max([0.01, *(float(values['distance'].max()) for values in maps.values())])

    rows, columns = 2 + len(maps), max(1 + len(arms), len(CAPTIONS) * bool(maps))
    height, width = large.shape
    figure = Figure(figsize=(3.4 * columns, rows * (2.7 * height / width + 0.4)),
                    layout='constrained')

    def axes(row: int, column: int) -> Axes:
        panel = figure.add_subplot(rows, columns, 1 + row * columns + column)
        panel.tick_params(labelsize=8)
        return panel

    for column, (name, image) in enumerate({'high resolution': large.image, **smalls}.items()):
        draw_image(axes(0, column), image, large, name)
        draw_crop(axes(1, column), image, large, crop)
    figure.axes[0].add_patch(Rectangle(crop[:2], *crop[2:], fill=False, color='red'))
    for row, (name, values) in enumerate(maps.items(), 2):
        highest = dict(winner=neighbours[name] - 1, entropy=1, distance=farthest)
        for column, (kind, caption) in enumerate(CAPTIONS.items()):
            panel = axes(row, column)
            draw_map(panel, kind, values[kind][0], large, highest[kind])
            panel.set_title(f'{name}: {caption}', fontsize=10)
    return figure


@torch.no_grad()
def main() -> None:
    args = parse_args()
    torch.manual_seed(0)  # untrained arms look the same every time
    cfg = load_config(args.config, args.cfg_options)
    preprocessor = build_preprocessor(cfg, args.config)
    arms = build_arms(args, cfg)
    upsamplings = load_upsamplings(args, cfg)
    pipeline = build_pipeline(cfg)
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.images:
        large = load_image(path, pipeline)
        if args.crop:
            check_crop(args.crop, large, path)
        page = args.out / f'{path.stem}.png'
        draw_page(preprocessor, arms, upsamplings, large, args.crop).savefig(page, dpi=120)
        print(page)


if __name__ == '__main__':
    main()

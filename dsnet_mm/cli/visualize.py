"""Draws what resizers do to images: one page an image.

A page shows the input image as the config's test pipeline makes it, the resized images, a magnified
part of each, and three maps of the coefficients of each learned resizer that has them: the
neighbour with the largest coefficient, their entropy (0: one neighbour is copied, 1: all are
averaged), and their total variation distance to the prior, the coefficients of an untrained
network. If the config has a guided head, the same maps of each checkpoint show the coefficients of
guided upsampling. Detail maps are drawn side by side, grey where they are zero. Numbers along the
axes are pixels of the image file.
"""
import argparse
from pathlib import Path

from dsnet_mm.config import build_model, load_config, scope_of
from dsnet_mm.engine.loading import is_guided, load_resizer, load_upsampling
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import GuidedUpsampling
from dsnet_mm.variants import parse_resizer
from dsnet_mm.visualization.page import build_pipeline, check_crop, draw_page, load_image

import torch
from mmengine.config import Config, DictAction
from torch import nn


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm visualize', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a path, or mmdet::... or mmseg::...')
    parser.add_argument('checkpoints', nargs='*', type=parse_checkpoint, metavar='CHECKPOINT',
                        help='trained models of the config, as PATH or NAME=PATH: each is a '
                        'variant')
    parser.add_argument('--images', nargs='+', type=Path, required=True)
    parser.add_argument('--variants', nargs='*', default=['bilinear'], metavar='VARIANT',
                        help='further resizers, untrained: names as in "dsnet-mm compare", or '
                        '"NAME={\'type\': ...}" (default: bilinear)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/visualize'),
                        help='folder for the pages, <name of the image>.png')
    parser.add_argument('--crop', nargs=4, type=int, metavar=('X', 'Y', 'W', 'H'),
                        help='what to magnify, in pixels of the image file (default: where the '
                        'variants differ most)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override')
    args = parser.parse_args(arguments)
    try:
        args.variants = [parse_resizer(text) for text in args.variants]
    except ValueError as error:
        parser.error(str(error))
    stems = [path.stem for path in args.images]
    for path in args.images:
        if stems.count(path.stem) > 1:
            parser.error(f'several --images are named {path.stem}, and so would be their pages: '
                         'draw them with different --out')
    return args


def parse_checkpoint(text: str) -> tuple[str, str]:
    """Reads ``PATH`` or ``NAME=PATH`` as a name and a path."""
    name, equals, path = text.partition('=')
    return (name, path) if equals else (Path(text).stem, text)


def build_preprocessor(cfg: Config, name: str) -> DownsizeMixin:
    preprocessor = build_model(cfg, cfg.model.get('data_preprocessor'))
    if not isinstance(preprocessor, DownsizeMixin):
        raise ValueError(
            f'{name} has no resizer: add --cfg-options model.data_preprocessor.type='
            'dsnet_mm.DownsizeDetDataPreprocessor (or dsnet_mm.DownsizeSegDataPreProcessor) '
            'model.data_preprocessor.scale=0.5')
    return preprocessor.eval()


def build_resizers(args: argparse.Namespace, cfg: Config) -> dict[str, nn.Module]:
    """The resizers by name: untrained ones, then those of the checkpoints."""
    config = cfg.model.data_preprocessor.get('resizer') or {}
    resizers = [*((name, build_resizer(own)) for name, own in args.variants),
                *((name, load_resizer(config, path)) for name, path in args.checkpoints)]
    names = [name for name, _ in resizers]
    if not resizers or len(set(names)) < len(names):
        raise ValueError(f'the variants need different names, got {names}: give checkpoints as '
                         'NAME=PATH')
    return {name: resizer.eval() for name, resizer in resizers}


def load_upsamplings(args: argparse.Namespace, cfg: Config) -> dict[str, GuidedUpsampling]:
    """The upsampling of each checkpoint, by name; empty if the config has no guided head."""
    head = cfg.model.get('decode_head')
    if not is_guided(head, scope_of(cfg)):
        return {}
    return {name: load_upsampling(head, path) for name, path in args.checkpoints}


def draw_pages(args: argparse.Namespace) -> None:
    torch.manual_seed(0)  # untrained variants look the same every time
    cfg = load_config(args.config, args.cfg_options)
    preprocessor = build_preprocessor(cfg, args.config)
    resizers = build_resizers(args, cfg)
    upsamplings = load_upsamplings(args, cfg)
    pipeline = build_pipeline(cfg)
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.images:
        source = load_image(path, pipeline)
        if args.crop:
            check_crop(args.crop, source, path)
        page = args.out / f'{path.stem}.png'
        draw_page(preprocessor, resizers, upsamplings, source, args.crop).savefig(page, dpi=120)
        print(page)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm visualize``, and returns the exit status."""
    args = parse_args(arguments)
    try:
        draw_pages(args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    return 0

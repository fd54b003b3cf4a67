"""Writes a trained resizer, alone or with the model behind it, as an ONNX file.

"deploy" writes everything from the input image (uint8) to boxes or a label map in its pixels: see
docs/deploy.md, and "dsnet-mm predict" to run it.

The other two write parts of that. Their input is "images" (N, 3, H, W), of any number and size,
with channels in the order with which the resizer was trained: BGR, as OpenMMLab's pipelines read
images. Values are from 0 to 255, floating-point or, with --uint8, uint8.

"resizer" writes the resizer alone. Its output is "small" (N, 3, h, w), floating-point.

"model" writes the config's resizer, normalisation and model. Its outputs are those of the model's
forward(mode='tensor'), before decoding and suppression: docs/deploy.md names them.

The file is compared in onnxruntime with PyTorch at several sizes, and not written where an output
differs by more than 1e-4 of its range. Requires pip install '.[export]' and PyTorch newer than 2.9;
for deformable convolution, as in CenterNet, also onnxruntime newer than 1.23, which does not exist
for Python 3.10, and an mmcv without compiled operators.
"""
import argparse
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.config import load_config
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.graph import build_graph
from dsnet_mm.deploy.export.parts import RawGraph, ResizerGraph, own_raw_outputs, write_part
from dsnet_mm.deploy.export.sample_images import load_images, synthetic_images
from dsnet_mm.deploy.export.translation import CAN_EXPORT
from dsnet_mm.deploy.export.writer import OPSET, write_onnx
from dsnet_mm.deploy.runtime.images import pick_images
from dsnet_mm.deploy.runtime.metadata import LAYOUTS, ORDERS
from dsnet_mm.engine.loading import load_model, load_resizer
from dsnet_mm.files import check_output
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers import ConvexResizer, OutputSize

import torch
from mmengine.config import DictAction
from torch import nn


def build_resizer(args: argparse.Namespace) -> tuple[ResizerGraph, Callable]:
    size = OutputSize(args.size, args.scale)
    net: nn.Module
    if args.config is None:
        net = ConvexResizer.from_pretrained(args.weights)
    else:
        cfg = load_config(args.config, args.cfg_options)
        net = load_resizer(cfg.model.data_preprocessor.get('resizer') or {}, args.weights)
    return ResizerGraph(net, size), lambda images: net(images, size(*images.shape[-2:]))


def build_model(args: argparse.Namespace) -> tuple[RawGraph, Callable]:
    model = load_model(load_config(args.config, args.cfg_options), args.checkpoint)
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, DownsizeMixin):
        raise SystemExit(f'{args.config} has no resizer: add model.data_preprocessor to it, as in '
                         'the README')
    if preprocessor.output_size.short_edge is not None:
        raise CannotExport(f'{preprocessor.output_size}',
                           'set short_edge=None and scale or target_size')
    if getattr(preprocessor, 'test_cfg', None):
        raise CannotExport('padding at test time', 'set model.data_preprocessor.test_cfg=None')
    return RawGraph(model), lambda images: own_raw_outputs(model, images)


def export_deploy(args: argparse.Namespace) -> None:
    check_output(args.out)
    cfg = load_config(args.config, args.cfg_options)
    model = load_model(cfg, args.checkpoint)
    size = tuple(args.size) if args.size else None
    graph = build_graph(model, cfg, args.layout, args.channel_order, args.boxes, args.scores)
    if args.images is None:
        images = synthetic_images(size)
        print('checked on synthetic images: give --images for real ones')
    else:
        images = load_images(pick_images(args.images, 6), size)
        print(f'checked on images in {args.images}')
    write_onnx(graph, cfg, args.out, images, size, args.opset, model.dataset_meta, args.fp16)


def export_part(args: argparse.Namespace) -> None:
    check_output(args.out)
    graph, reference = args.build(args)
    graph.eval().requires_grad_(False)
    write_part(graph, reference, args.out, torch.uint8 if args.uint8 else torch.float32)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm export', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    resizer = commands.add_parser('resizer', help='the resizer alone')
    resizer.add_argument('weights', help='name or file of a trained resizer; with --config a '
                         'checkpoint of the whole model')
    resizer.add_argument('--config', help="the model's config")
    size = resizer.add_mutually_exclusive_group(required=True)
    size.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'),
                      help='height and width of the resized image in pixels')
    size.add_argument('--scale', type=float, help='factor for both sides')
    resizer.set_defaults(build=build_resizer)
    model = commands.add_parser('model', help='the resizer and the model, without decoding')
    model.add_argument('config')
    model.add_argument('checkpoint')
    model.set_defaults(build=build_model)
    deploy = commands.add_parser('deploy', help='from the input image to boxes or a label map')
    deploy.add_argument('config')
    deploy.add_argument('checkpoint')
    deploy.set_defaults(run=export_deploy)
    for command in (resizer, model, deploy):
        command.add_argument('out', type=Path, metavar='OUT.onnx')
        command.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                             help='settings to override')
    for command in (resizer, model):
        command.add_argument('--uint8', action='store_true', help='the input is uint8')
        command.set_defaults(run=export_part)
    deploy.add_argument('--images', type=Path, metavar='DIR',
                        help='check the file on these images (default: synthetic images)')
    deploy.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'),
                        help='height and width of every input image in pixels (default: any)')
    deploy.add_argument('--layout', choices=LAYOUTS, default='nhwc',
                        help='of the input (default: %(default)s)')
    deploy.add_argument('--channel-order', choices=ORDERS, default='bgr',
                        help='of the input (default: %(default)s)')
    deploy.add_argument('--boxes', type=int, metavar='K', help='number of boxes that a detector '
                        "returns (default: the config's max_per_img, or 300)")
    deploy.add_argument('--scores', action='store_true',
                        help="return also a segmenter's logits, at the size of the resized image")
    deploy.add_argument('--fp16', action='store_true',
                        help='the model behind the resizer computes in float16')
    deploy.add_argument('--opset', type=int, default=OPSET, help='of ONNX (default: %(default)s)')
    args = parser.parse_args(arguments)
    if getattr(args, 'size', None) is not None and min(args.size) < 1:
        parser.error(f'--size must be positive numbers of pixels, got {args.size}')
    return args


@torch.no_grad()
def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm export``, and returns the exit status."""
    args = parse_args(arguments)
    if not CAN_EXPORT:
        raise SystemExit(f'exporting needs a PyTorch newer than 2.9, this is {torch.__version__}')
    try:
        args.run(args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(args.out)
    return 0

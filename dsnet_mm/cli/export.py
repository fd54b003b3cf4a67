"""Writes a trained resizer, alone or with the model behind it, as an ONNX file.

``deploy`` writes everything from the full-size image, as bytes, to boxes or a label map in its
pixels: see docs/deploy.md, and "dsnet-mm predict" to run it.

The other two write parts of that. ``images`` (N, 3, H, W) is what goes in, of any number and size,
with channels in the order the resizer was trained with: BGR, as OpenMMLab's pipelines read images.
Values are 0 to 255, as floating-point numbers or, with --uint8, as bytes.

``resizer`` writes it alone. ``small`` (N, 3, h, w) comes out, floating-point.

``model`` writes the config's resizer, normalisation and model. What the model's
``forward(mode='tensor')`` returns comes out, before anything is decoded or suppressed; places are
those of the small image (h, w):

- CenterNet: ``center_heatmap`` (N, classes, h / s, w / s), probabilities; ``wh`` and ``offset``
  (N, 2, h / s, w / s), both x first, in cells of the map. The stride s is the model's.
- RefineDet, for each level i: ``cls_scores_i`` (N, anchors * (classes + 1), h_i, w_i), logits with
  the background last; ``bbox_preds_i`` (N, anchors * 4, h_i, w_i), deltas to the moved anchors;
  ``arm_cls_scores_i`` and ``arm_bbox_preds_i`` the same of the first module, whose one class is
  "object" and whose deltas move the anchors.
- DETR: ``cls_scores`` (layers, N, queries, classes + 1), logits with the background last;
  ``bbox_preds`` (layers, N, queries, 4), centre x, centre y, width and height in shares of the
  small image. The last layer's are the result.
- DeepLabv3+ and other segmenters: ``seg_logits`` (N, classes, h / s, w / s).
- Other models: ``output_0``, ``output_1``, ..., as they come.

The file is checked in onnxruntime against PyTorch at several sizes, and not written where any
output differs by more than 1e-4 of its range. Needs ``pip install '.[export]'`` and a
PyTorch newer than 2.9; for deformable convolution, as in CenterNet, an onnxruntime newer than 1.23,
which Python 3.10 does not have, and no compiled operators in mmcv.
"""
import argparse
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.config import load_config
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export import images as checked
from dsnet_mm.deploy.export import parts
from dsnet_mm.deploy.export.graph import build_graph
from dsnet_mm.deploy.export.writer import OPSET, export
from dsnet_mm.deploy.runtime.metadata import LAYOUTS, ORDERS
from dsnet_mm.engine.loading import load_model, load_resizer
from dsnet_mm.files import check_output
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers import ConvexResizer, OutputSize

import torch
from mmengine.config import DictAction
from torch import nn

CAN_EXPORT = hasattr(getattr(torch.onnx, 'ONNXProgram', None), 'rename_axes')


def build_resizer(args: argparse.Namespace) -> tuple[parts.Resizing, Callable]:
    size = OutputSize(args.size, args.scale)
    net: nn.Module
    if args.config is None:
        net = ConvexResizer.from_pretrained(args.weights)
    else:
        cfg = load_config(args.config, args.cfg_options)
        try:
            net = load_resizer(cfg.model.data_preprocessor.get('resizer') or {}, args.weights)
        except ValueError as error:
            raise SystemExit(str(error)) from error
    check_size(size)
    return parts.Resizing(net, size), lambda images: net(images, size(*images.shape[-2:]))


def build_pipeline(args: argparse.Namespace) -> tuple[parts.Pipeline, Callable]:
    model = load_model(load_config(args.config, args.cfg_options), args.checkpoint)
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, DownsizeMixin):
        raise SystemExit(f'{args.config} has no resizer: add model.data_preprocessor to it, as in '
                         'the README')
    check_size(preprocessor.output_size)
    if getattr(preprocessor, 'test_cfg', None):
        raise SystemExit('padding at test cannot be exported: set '
                         'model.data_preprocessor.test_cfg=None')
    return parts.Pipeline(model), lambda images: parts.predict(model, images)


def deploy(args: argparse.Namespace) -> None:
    check_output(args.out)
    cfg = load_config(args.config, args.cfg_options)
    model = load_model(cfg, args.checkpoint)
    size = tuple(args.size) if args.size else None
    graph = build_graph(model, cfg, args.layout, args.channel_order, args.boxes, args.scores)
    if args.images is None:
        images = checked.make(size)
        print('to be checked on made images: give --images for real ones')
    else:
        images = checked.load(args.images, 6, size)
        print(f'to be checked on images of {args.images}')
    export(graph, cfg, args.out, images, size, args.opset, model.dataset_meta, args.fp16)


def export_part(args: argparse.Namespace) -> None:
    check_output(args.out)
    graph, reference = args.build(args)
    graph.eval().requires_grad_(False)
    parts.export(graph, reference, args.out, torch.uint8 if args.uint8 else torch.float32)


def check_size(size: OutputSize) -> None:
    """Raises:
        CannotExport: If one graph cannot serve all sizes of images.
    """
    if size.short_edge is not None:
        raise CannotExport(str(size), 'set short_edge=None and scale or target_size')


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
                      help='pixels of every small image')
    size.add_argument('--scale', type=float, help='factor for both sides')
    resizer.set_defaults(build=build_resizer)
    model = commands.add_parser('model', help='the resizer and the model behind it')
    model.add_argument('config')
    model.add_argument('checkpoint')
    model.set_defaults(build=build_pipeline)
    whole = commands.add_parser('deploy', help='full-size image in, boxes or label map out')
    whole.add_argument('config')
    whole.add_argument('checkpoint')
    whole.set_defaults(run=deploy)
    for command in (resizer, model, whole):
        command.add_argument('out', type=Path, metavar='OUT.onnx')
        command.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                             help='settings to override')
    for command in (resizer, model):
        command.add_argument('--uint8', action='store_true', help='images are bytes')
        command.set_defaults(run=export_part)
    whole.add_argument('--images', type=Path, metavar='DIR',
                       help='check the file on these (default: on made images)')
    whole.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'),
                       help='pixels of every full-size image (default: any)')
    whole.add_argument('--layout', choices=LAYOUTS, default='nhwc', help='of the images')
    whole.add_argument('--channel-order', choices=ORDERS, default='bgr', help='of the images')
    whole.add_argument('--boxes', type=int, metavar='K',
                       help="so many of an image (default: the config's max_per_img, or 300)")
    whole.add_argument('--scores', action='store_true',
                       help="return a segmenter's scores at low size as well")
    whole.add_argument('--fp16', action='store_true',
                       help='the model behind the resizer in 16-bit numbers')
    whole.add_argument('--opset', type=int, default=OPSET, help=f'of ONNX (default: {OPSET})')
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

"""Writes a trained resizer, alone or with the model behind it, as an ONNX file.

``deploy`` writes everything from the full-size image, as bytes, to boxes or a label map in its
pixels: see docs/deploy.md, and "python -m dsnet_mm.deploy.predict" to run it.

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
output differs by more than 1e-4 of its range. Needs ``pip install 'dsnet-mm[export]'`` and a
PyTorch newer than 2.9; for deformable convolution, as in CenterNet, an onnxruntime newer than 1.23,
which Python 3.10 does not have, and no compiled operators in mmcv.
"""
import argparse
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.config import build_model, load_config
from dsnet_mm.deploy import images as checked
from dsnet_mm.deploy.errors import CannotExport, Disagrees
from dsnet_mm.deploy.export import OPSET
from dsnet_mm.deploy.export import export as write
from dsnet_mm.deploy.frame import prepare
from dsnet_mm.deploy.graph import build_graph
from dsnet_mm.deploy.metadata import LAYOUTS, ORDERS
from dsnet_mm.files import written_whole
from dsnet_mm.preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers import ConvexResizer, OutputSize

import onnxruntime
import torch
from checkpoints import load_resizer
from mmengine.config import DictAction
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.runner import load_checkpoint
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

CAN_EXPORT = hasattr(getattr(torch.onnx, 'ONNXProgram', None), 'rename_axes')
TOLERANCE = 1e-4
SIZES = [(1, 120, 160), (2, 97, 131), (1, 300, 300), (3, 64, 200)]  # N, H and W of the check
OUTPUTS = {
    'CenterNetHead': ('center_heatmap', 'wh', 'offset'),
    'RefineDetHead': ('cls_scores', 'bbox_preds', 'arm_cls_scores', 'arm_bbox_preds'),
    'DETRHead': ('cls_scores', 'bbox_preds'),
}


class Resizing(nn.Module):
    """A resizer as a function of images alone."""
    names = ('small', )

    def __init__(self, resizer: nn.Module, output_size: OutputSize) -> None:
        super().__init__()
        self.resizer, self.output_size = resizer, output_size

    def forward(self, images: Tensor) -> Tensor:
        return self.resizer(images, self.output_size(*images.shape[-2:]))


class Pipeline(nn.Module):
    """A model behind its preprocessor, for images of one size, as a function that can be traced.

    The preprocessor's own forward takes data samples and walks through the batch.
    """

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model
        # DETR asks whether there is padding.
        self.sample = BaseDataElement(metainfo=dict(img_shape=(1, 1), batch_input_shape=(1, 1)))

    @property
    def names(self) -> list[str]:
        """Of the outputs."""
        outputs = predict(self.model, 128 * torch.ones(1, 3, 128, 128))
        if isinstance(outputs, Tensor):
            return ['seg_logits']
        kinds = OUTPUTS.get(type(getattr(self.model, 'bbox_head', None)).__name__)
        names = []
        for kind, levels in zip(kinds or [f'output_{i}' for i in range(len(outputs))], outputs):
            number = len(tree_flatten(levels)[0])
            names += [kind] if number == 1 else [f'{kind}_{i}' for i in range(number)]
        return names

    def forward(self, images: Tensor) -> object:
        preprocessor = self.model.data_preprocessor
        small = prepare(preprocessor, preprocessor.resize(images))
        return self.model(small, [self.sample], mode='tensor')


def predict(model: BaseModel, images: Tensor) -> object:
    """What the model itself makes of images, with its own preprocessor."""
    size = tuple(images.shape[-2:])
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = [BaseDataElement(metainfo=meta) for _ in images]
    data = model.data_preprocessor(dict(inputs=list(images), data_samples=samples))
    return model(data['inputs'], data['data_samples'], mode='tensor')


def export(graph: nn.Module, reference: Callable[[Tensor], object], out: Path,
           dtype: torch.dtype) -> None:
    """Writes a graph that agrees with a reference.

    Args:
        graph (nn.Module): From images (N, 3, H, W) to tensors called ``graph.names``.
        reference (Callable): What it must compute, in another way.
        out (Path): The file.
        dtype (torch.dtype): Of the images.

    Raises:
        SystemExit: If it does not agree. There is no file then.
    """
    images = torch.zeros(2, 3, 200, 240, dtype=dtype)
    anything = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(graph, (images, ), dynamic_shapes=(anything, ), strict=True)
    # 20: deformable convolution came with 19.
    program = torch.onnx.export(exported, input_names=['images'], output_names=graph.names,
                                opset_version=20, verbose=False)
    shape = program.model.graph.inputs[0].shape
    program.rename_axes(dict(zip((shape[0], shape[2], shape[3]), ('batch', 'height', 'width'))))
    with written_whole(out) as unchecked:
        program.save(unchecked, external_data=False)
        for size in SIZES:
            check(unchecked, reference, torch.randint(256, (size[0], 3, *size[1:])).to(dtype))


def check(file: Path, reference: Callable[[Tensor], object], images: Tensor) -> None:
    """Raises:
        SystemExit: If onnxruntime finds something else than the reference in images.
    """
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {'images': images.numpy()})
    found = tree_flatten(reference(images))[0]
    for name, value, expected in zip(names, outputs, found, strict=True):
        value, limit = torch.from_numpy(value), TOLERANCE * (expected.max() - expected.min())
        if value.shape != expected.shape:
            what = f'{tuple(value.shape)} instead of {tuple(expected.shape)}'
        elif not (difference := (value - expected).abs().max()) <= limit:
            what = f'off by {difference:.2g}, more than {TOLERANCE} of its range'
        else:
            continue
        raise SystemExit(f'not written: for images {tuple(images.shape)} the output {name} is '
                         f'{what}')


def build_resizer(args: argparse.Namespace) -> tuple[Resizing, Callable[[Tensor], Tensor]]:
    size = OutputSize(args.size, args.scale)
    if args.config is None:
        net = ConvexResizer.from_pretrained(args.weights)
    else:
        cfg = load_config(args.config, args.cfg_options)
        net = load_resizer(cfg.model.data_preprocessor.get('resizer') or {}, args.weights)
    check_size(size)
    return Resizing(net, size), lambda images: net(images, size(*images.shape[-2:]))


def build_pipeline(args: argparse.Namespace) -> tuple[Pipeline, Callable[[Tensor], object]]:
    model = revert_sync_batchnorm(build_model(load_config(args.config, args.cfg_options)))
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, DownsizeMixin):
        raise SystemExit(f'{args.config} has no resizer: add model.data_preprocessor to it, as in '
                         'the README')
    check_size(preprocessor.output_size)
    if getattr(preprocessor, 'test_cfg', None):
        raise SystemExit('padding at test cannot be exported: set '
                         'model.data_preprocessor.test_cfg=None')
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    return Pipeline(model), lambda images: predict(model, images)


def deploy(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options)
    model = revert_sync_batchnorm(build_model(cfg))
    size = tuple(args.size) if args.size else None
    try:
        graph = build_graph(model, cfg, args.layout, args.channel_order, args.boxes, args.scores)
        checkpoint = load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
        if args.images is None:
            images = checked.make(size)
            print('to be checked on made images: give --images for real ones')
        else:
            images = checked.load(args.images, 6, size)
            print(f'to be checked on images of {args.images}')
        write(graph, cfg, args.out, images, size, args.opset,
              checkpoint.get('meta', {}).get('dataset_meta'))
    except (CannotExport, Disagrees, OSError) as error:
        raise SystemExit(str(error)) from error


def parts_of_it(args: argparse.Namespace) -> None:
    graph, reference = args.build(args)
    graph.eval().requires_grad_(False)
    export(graph, reference, args.out, torch.uint8 if args.uint8 else torch.float32)


def check_size(size: OutputSize) -> None:
    """Raises:
        SystemExit: If no one graph holds for all sizes.
    """
    if size.short_edge is not None:
        raise SystemExit(f'{size} cannot be exported: set short_edge=None and scale or target_size')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    resizer = parts.add_parser('resizer', help='the resizer alone')
    resizer.add_argument('weights', help='name or file of a trained resizer; with --config a '
                         'checkpoint of the whole model')
    resizer.add_argument('--config', help="the model's config")
    size = resizer.add_mutually_exclusive_group(required=True)
    size.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'),
                      help='pixels of every small image')
    size.add_argument('--scale', type=float, help='factor for both sides')
    resizer.set_defaults(build=build_resizer)
    model = parts.add_parser('model', help='the resizer and the model behind it')
    model.add_argument('config')
    model.add_argument('checkpoint')
    model.set_defaults(build=build_pipeline)
    whole = parts.add_parser('deploy', help='full-size image in, boxes or label map out')
    whole.add_argument('config')
    whole.add_argument('checkpoint')
    whole.set_defaults(run=deploy)
    for part in (resizer, model, whole):
        part.add_argument('out', type=Path, metavar='OUT.onnx')
        part.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                          help='settings to override')
    for part in (resizer, model):
        part.add_argument('--uint8', action='store_true', help='images are bytes')
        part.set_defaults(run=parts_of_it)
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
    whole.add_argument('--opset', type=int, default=OPSET, help=f'of ONNX (default: {OPSET})')
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    if not CAN_EXPORT:
        raise SystemExit(f'exporting needs a PyTorch newer than 2.9, this is {torch.__version__}')
    args.run(args)
    print(args.out)


if __name__ == '__main__':
    main()

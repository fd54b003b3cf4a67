"""Parameters and multiply-adds of models at the size of their resized images."""
from collections import Counter
from functools import partial
from math import prod
from pathlib import Path

from dsnet_mm.config import build_model, load_config, scope_of
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.models.heads.guided_head import GuidedHead
from dsnet_mm.resizers import DownsizeNetV2

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmseg.structures import SegDataSample
from torch import nn

CONFIGS = Path(__file__).resolve().parents[1] / '.mim/configs'
# The paper's pipelines: config, and height and width of an input image.
PIPELINES = {
    'RefineDet': ('refinedet/refinedet_vgg16_voc07-300to160.py', (300, 300)),
    'CenterNet': ('centernet/centernet_r18-dcnv2_voc07-300to160.py', (300, 300)),
    'DETR': ('detr/detr_r101_coco-300to165.py', (300, 300)),
    'Light-Head R-CNN': ('lighthead/lighthead_vgg16_voc07-300to165.py', (300, 400)),
    'FCN-8s': ('fcn/fcn8s_vgg16_voc12-to100.py', (375, 500)),
    'DeepLabv3+': ('deeplabv3plus/deeplabv3plus_r101-d8_cityscapes-513to179.py', (513, 513)),
    'SPNet': ('spnet/spnet_r50-d8_cityscapes-768to230.py', (768, 768)),
}


class _Call(nn.Module):
    """A call with all arguments but the images, as a module that can be traced."""

    def __init__(self, module: nn.Module, call: partial) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, images: torch.Tensor) -> object:
        return self.call(images)


def _batched_product(inputs: list, outputs: list) -> Counter:
    return Counter(bmm=prod(outputs[0].type().sizes()) * inputs[1].type().sizes()[2])


def _deform_conv(inputs: list, outputs: list) -> Counter:
    shape, weight = outputs[0].type().sizes(), inputs[3].type().sizes()
    return Counter(deform_conv=prod(shape) * prod(weight[1:]))


def multiply_adds(module: nn.Module, call: partial, images: torch.Tensor) -> int:
    """Counts the multiply-adds of a call of a module, which has all arguments but the images."""
    analyzer = FlopAnalyzer(_Call(module, call).eval(), (images, ))
    analyzer.set_op_handle('prim::PythonOp.ModulatedDeformConv2dFunction', _deform_conv)
    analyzer.set_op_handle('aten::baddbmm', _batched_product)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analyzer.tracer_warnings('none')
    with torch.no_grad():
        return int(analyzer.total())


def build(path: str | Path) -> tuple[BaseModel, str | None]:
    """Builds the model of a config, and returns it with its scope; ValueError without resizer."""
    cfg = load_config(str(path))
    model = revert_sync_batchnorm(build_model(cfg))
    if not isinstance(model.data_preprocessor, DownsizeMixin):
        raise ValueError(f'{path} has no resizer: give its data_preprocessor the type '
                         'dsnet_mm.DownsizeDetDataPreprocessor or DownsizeSegDataPreProcessor')
    return model, scope_of(cfg)


def row(name: str, path: str | Path, size: tuple[int, int]) -> str:
    """The row of a config at an input image's size; with a guided head also one for upsampling."""
    model, scope = build(path)
    preprocessor = model.data_preprocessor
    low = preprocessor.output_size(*size)
    meta = dict(img_shape=low, ori_shape=size, scale_factor=(1.0, 1.0), batch_input_shape=low,
                pad_shape=low)
    sample = (DetDataSample if scope == 'mmdet' else SegDataSample)(metainfo=meta)
    channels = 3 + getattr(preprocessor.resizer, 'detail_channels', 0)
    whole = multiply_adds(model, partial(model.forward, data_samples=[sample], mode='tensor'),
                          torch.rand(1, channels, *low))
    images, head = 255 * torch.rand(1, 3, *size), getattr(model, 'decode_head', None)
    if isinstance(head, GuidedHead):
        logits = torch.rand(1, head.out_channels, *low)
        upsampling = multiply_adds(head.upsampling, partial(head.upsampling, logits), images)
        whole += upsampling
    own = preprocessor.resizer
    count = [sum(p.numel() for p in module.parameters()) for module in (model, own)]
    cells = [name, f'{low[0]}×{low[1]}', f'{count[0] - count[1]:,}', f'{whole / 1e9:.2f} G']
    for resizer in (own, DownsizeNetV2()):
        resizing = multiply_adds(resizer, partial(resizer, size=low), images)
        cells += [f'{(whole + resizing) / 1e9:.2f} G', f'{resizing / whole:.1%}']
    rows = [cells]
    if isinstance(head, GuidedHead):
        rows.append(['of it upsampling', f'{size[0]}×{size[1]}',
                     f'{sum(p.numel() for p in head.upsampling.parameters()):,}',
                     f'{upsampling / 1e9:.2f} G', '', f'{upsampling / whole:.1%}', '', ''])
    return '\n'.join(f'| {" | ".join(each)} |' for each in rows)

"""The resizer alone, or resizer and model before decoding, as an ONNX file."""
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.decoders.frame import raw_outputs
from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.export.preprocessing import normalize_and_pad
from dsnet_mm.deploy.export.translation import to_onnx
from dsnet_mm.files import atomic_write
from dsnet_mm.resizers import OutputSize

import onnxruntime
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

TOLERANCE = 1e-4
SIZES = [(1, 120, 160), (2, 97, 131), (1, 300, 300), (3, 64, 200)]  # N, H and W of the check
OUTPUTS = {
    'CenterNetHead': ('center_heatmap', 'wh', 'offset'),
    'RefineDetHead': ('cls_scores', 'bbox_preds', 'arm_cls_scores', 'arm_bbox_preds'),
    'DETRHead': ('cls_scores', 'bbox_preds'),
}


class ResizerGraph(nn.Module):
    """A resizer as a function of images alone."""
    names: Sequence[str] = ('small', )

    def __init__(self, resizer: nn.Module, output_size: OutputSize) -> None:
        super().__init__()
        self.resizer, self.output_size = resizer, output_size

    def forward(self, images: Tensor) -> Tensor:
        return self.resizer(images, self.output_size(*images.shape[-2:]))


class RawGraph(nn.Module):
    """Resizer, normalisation, padding and model, up to the raw outputs, as a traceable function."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    @property
    def names(self) -> Sequence[str]:
        """Names of the outputs."""
        outputs = self(128 * torch.ones(1, 3, 128, 128))
        if isinstance(outputs, Tensor):
            return ['seg_logits']
        kinds = OUTPUTS.get(type(getattr(self.model, 'bbox_head', None)).__name__)
        names = []
        for kind, levels in zip(kinds or [f'output_{i}' for i in range(len(outputs))], outputs):
            number = len(tree_flatten(levels)[0])
            names += [kind] if number == 1 else [f'{kind}_{i}' for i in range(number)]
        return names

    def forward(self, images: Tensor) -> Any:
        preprocessor = self.model.data_preprocessor
        resized, detail = preprocessor.resize_with_detail(images)
        return raw_outputs(self.model, preprocessor.with_detail(
            normalize_and_pad(preprocessor, resized), detail))


def own_raw_outputs(model: BaseModel, images: Tensor) -> Any:
    """The raw outputs for images (N, 3, H, W), by the model's own preprocessor and forward."""
    size = tuple(images.shape[-2:])
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = [BaseDataElement(metainfo=meta) for _ in images]
    data = model.data_preprocessor(dict(inputs=list(images), data_samples=samples))
    return model(data['inputs'], data['data_samples'], mode='tensor')


def write_part(graph: ResizerGraph | RawGraph, reference: Callable[[Tensor], object], out: Path,
               dtype: torch.dtype) -> None:
    """Writes a graph, and checks it.

    Args:
        graph (ResizerGraph | RawGraph): From images (N, 3, H, W) to the outputs ``graph.names``.
        reference (Callable): Computes the same outputs in another way.
        out (Path): The file.
        dtype (torch.dtype): Of the images.

    Raises:
        Disagrees: If the file disagrees with the reference. It is not written then.
    """
    images = torch.zeros(2, 3, 200, 240, dtype=dtype)
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    exported = torch.export.export(graph, (images, ), dynamic_shapes=(dynamic, ), strict=True)
    # 20: deformable convolution needs 19.
    program = to_onnx(exported, graph.names, axes, opset=20)
    with atomic_write(out) as unchecked:
        program.save(unchecked, external_data=False)
        for number, height, width in SIZES:
            images = torch.randint(256, (number, 3, height, width)).to(dtype)
            images[0, :, :height // 4, :width // 4] = 0  # black, without contrast
            check_part(unchecked, reference, images)


def check_part(file: Path, reference: Callable[[Tensor], object], images: Tensor) -> None:
    """Checks that a file in onnxruntime agrees with a reference.

    Args:
        file (Path): The file.
        reference (Callable): Computes the expected outputs.
        images (Tensor): (N, 3, H, W).

    Raises:
        Disagrees: If an output has another shape, or differs by more than 1e-4 of its range.
    """
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {'images': images.numpy()})
    for name, value, expected in zip(names, outputs, tree_flatten(reference(images))[0],
                                     strict=True):
        value, limit = torch.from_numpy(value), TOLERANCE * (expected.max() - expected.min())
        if value.shape != expected.shape:
            what = f'{tuple(value.shape)} instead of {tuple(expected.shape)}'
        elif not (difference := (value - expected).abs().max()) <= limit:
            what = f'off by {difference:.2g}, more than {TOLERANCE} of its range'
        else:
            continue
        raise Disagrees(f'not written: for images {tuple(images.shape)} the output {name} is '
                        f'{what}')

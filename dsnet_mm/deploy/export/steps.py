"""The steps of the test pipeline before the model, as part of the graph."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.resizers.ops.size import Size

import torch.nn.functional as F
from mmcv import rescale_size
from torch import Tensor

# They do nothing to the image.
_OTHERS = {'LoadAnnotations', 'LoadPanopticAnnotations', 'PackDetInputs', 'PackSegInputs'}


class PipelineSteps:
    """The steps of a test pipeline that change the image: its ``Resize``, which is OpenCV's.

    Args:
        pipeline (Sequence[dict]): The config of the test pipeline.

    Raises:
        CannotExport: If another step changes the image.
    """

    def __init__(self, pipeline: Sequence[dict]) -> None:
        self.to_float = False
        self.resizes: list[dict] = []
        for step in pipeline:
            kind = name_of(step)
            if kind == 'LoadImageFromFile':
                self.to_float = step.get('to_float32', False)
                if step.get('color_type', 'color') != 'color':
                    raise _unknown(step)
            elif kind == 'Resize':
                self.resizes.append(_checked_resize(step))
            elif kind == 'RandomCenterCropPad' and step.get('test_mode'):
                if list(step.get('test_pad_mode', ())) != ['size_divisor', 1]:
                    raise _unknown(step)  # that pads nothing
            elif kind not in _OTHERS:
                raise _unknown(step)

    @property
    def needs_fixed_size(self) -> bool:
        """Whether a size depends on that of the image in a way no graph of open sizes has."""
        return any(map(_follows, self.resizes))

    @property
    def fix_size(self) -> bool:
        """Whether images of all sizes leave with one."""
        return bool(self.resizes) and not _follows(self.resizes[-1])

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), unsigned 8-bit, as the pipeline hands them on: (N, 3, h, w), as
        bytes or, if it loads or resizes floating-point numbers, as such."""
        if self.to_float or self.resizes:
            images = images.float()
        for step in self.resizes:
            height, width = images.shape[-2:]
            images = F.interpolate(images, _size(step, height, width), mode='bilinear')
            if not self.to_float:
                images = images.round()
        return images


def name_of(step: dict) -> str:
    """The name of a step's class; configs have paths that end with it, or the class itself."""
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def _checked_resize(step: dict) -> dict:
    if (step.get('interpolation', 'bilinear') != 'bilinear' or step.get('backend', 'cv2') != 'cv2'
            or (step.get('scale') is None and step.get('scale_factor') is None)):
        raise _unknown(step)
    return step


def _follows(step: dict) -> bool:
    """Whether the size that ``Resize`` brings an image to depends on the image's."""
    return step.get('keep_ratio', False) or step.get('scale') is None


def _size(step: dict, height: int, width: int) -> Size:
    """The size (h, w) to which mmcv's ``Resize`` brings an image."""
    scale = step.get('scale')
    if scale is None:
        factor = step['scale_factor']
        x, y = factor if isinstance(factor, (tuple, list)) else (factor, factor)
        scale = rescale_size((width, width), x)[0], rescale_size((height, height), y)[0]
    elif isinstance(scale, int):
        scale = scale, scale
    if step.get('keep_ratio', False):
        scale = rescale_size((width, height), tuple(scale))
    return scale[1], scale[0]


def _unknown(step: dict[str, Any]) -> CannotExport:
    return CannotExport(
        f'the test pipeline step {dict(step)}',
        'leave it out of test_dataloader.dataset.pipeline, or set it so that it does nothing at '
        'test; Resize with bilinear interpolation is known')

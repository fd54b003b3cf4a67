"""From the full-size image to what the model behind the preprocessor sees."""
from typing import Any

from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.steps import PipelineSteps
from dsnet_mm.deploy.runtime.metadata import LAYOUTS, ORDERS
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers.ops.size import size_of

import torch.nn.functional as F
from torch import Tensor, nn


class Framing(nn.Module):
    """Resizes with the trained resizer, normalises and pads, as a function that can be traced.

    The preprocessor's own forward takes data samples and walks through the batch.

    Args:
        preprocessor (DownsizeMixin): That of the model.
        steps (PipelineSteps): What comes before.
        layout (str): ``'nhwc'`` (N, H, W, 3) or ``'nchw'`` (N, 3, H, W).
        channel_order (str): ``'bgr'`` or ``'rgb'``.

    Raises:
        CannotExport: If the model has no resizer, or layout or order are unknown.
    """

    def __init__(self, preprocessor: nn.Module, steps: PipelineSteps, layout: str = 'nhwc',
                 channel_order: str = 'bgr') -> None:
        super().__init__()
        if not isinstance(preprocessor, DownsizeMixin):
            raise CannotExport(f'a model behind {type(preprocessor).__name__}, which has no '
                               'resizer,', 'add model.data_preprocessor to the config, as in the '
                               'README')
        for name, value, known in (('layout', layout, LAYOUTS),
                                   ('channel_order', channel_order, ORDERS)):
            if value not in known:
                raise CannotExport(f'{name}={value!r}', f'use one of {known}')
        self.preprocessor, self.steps = preprocessor, steps
        self.layout, self.channel_order = layout, channel_order

    def forward(self, images: Tensor) -> Frame:
        """Args:
            images (Tensor): (N, H, W, 3) or (N, 3, H, W), unsigned 8-bit.
        """
        if self.layout == 'nhwc':
            images = images.permute(0, 3, 1, 2)
        if self.channel_order == 'rgb':
            images = images.flip(1)
        large = self.steps(images)
        resized: Any = self.preprocessor.resize(large)
        if self.steps.resizes and not self.steps.to_float:
            resized = resized.clamp(0, 255)  # as of bytes
        return Frame(prepare(self.preprocessor, resized), size_of(resized), size_of(images), large)


def prepare(preprocessor: Any, images: Tensor) -> Tensor:
    """Normalises and pads resized images (N, 3, h, w) as the preprocessor does at test.

    Raises:
        CannotExport: If it pads to a size that some images exceed.
    """
    if any(getattr(preprocessor, name, False)  # the original mmseg has the second
           for name in ('_channel_conversion', 'channel_conversion')):
        images = images.flip(1)
    if preprocessor._enable_normalize:
        images = (images - preprocessor.mean) / preprocessor.std
    at_test = getattr(preprocessor, 'test_cfg', None) or {}  # of mmseg
    if at_test.get('size') is not None:
        raise CannotExport(f'padding to a size at test, test_cfg={at_test},',
                           'set model.data_preprocessor.test_cfg to None or to a size_divisor')
    divisor = at_test.get('size_divisor') or getattr(preprocessor, 'pad_size_divisor', None) or 1
    if divisor > 1:
        height, width = images.shape[-2:]
        value = getattr(preprocessor, 'pad_value', getattr(preprocessor, 'pad_val', 0))
        images = F.pad(images, (0, -width % divisor, 0, -height % divisor), value=value)
    return images

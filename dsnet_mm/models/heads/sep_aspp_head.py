"""DeepLabv3+'s head with learned upsampling."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.models.necks.interpolation import LearnedInterpolation
from dsnet_mm.registry import MODELS

import torch
from mmseg.models.decode_heads import DepthwiseSeparableASPPHead
from torch import Tensor


@MODELS.register_module()
class DownsizeSepASPPHead(DepthwiseSeparableASPPHead):
    """mmseg's ``DepthwiseSeparableASPPHead`` (DeepLabv3+) with learned interpolation of the ASPP's
    features in the decoder.

    Untrained it computes what mmseg's head does, whose checkpoints load.

    Args:
        *args (Any): Those of ``DepthwiseSeparableASPPHead``.
        upsample_cfg (dict, optional): Options of :class:`~dsnet_mm.LearnedInterpolation`, such as
            ``groups``.
        **kwargs (Any): Those of ``DepthwiseSeparableASPPHead``.

    Raises:
        ValueError: If there is no decoder, or corners are to be aligned.
    """

    def __init__(self, *args: Any, upsample_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.c1_bottleneck is None:
            raise ValueError('c1_in_channels=0 makes a head without decoder, in which nothing is '
                             'upsampled: use DepthwiseSeparableASPPHead')
        if self.align_corners:
            raise ValueError('the learned interpolation does not align corners: set '
                             'align_corners=False')
        self.upsample = LearnedInterpolation(self.channels, **upsample_cfg or {})

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The backbone's maps (N, C_i, H_i, W_i) to logits (N, classes, H_0, W_0)."""
        c1_output = self.c1_bottleneck(inputs[0])
        output = self.upsample(self._forward_feature(inputs), c1_output.shape[-2:])
        return self.cls_seg(self.sep_bottleneck(torch.cat([output, c1_output], dim=1)))

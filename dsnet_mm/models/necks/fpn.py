"""A feature pyramid with learned upsampling."""
from typing import Any

from dsnet_mm.models.necks.interpolation import LearnedInterpolation
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers.ops.size import size_of

import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch import Tensor, nn


@MODELS.register_module()
class DownsizeFPN(FPN):
    """mmdet's ``FPN`` with learned interpolation on the top-down path.

    Untrained it is ``FPN(upsample_cfg=dict(mode='bilinear'))``, whose weights load; mmdet's default
    mode is ``'nearest'``.

    Args:
        *args (Any): Those of ``FPN``.
        upsample_cfg (dict, optional): Options of :class:`~dsnet_mm.LearnedInterpolation`, such as
            ``groups``.
        **kwargs (Any): Those of ``FPN``.

    Raises:
        ValueError: If ``upsample_cfg`` has options of ``F.interpolate``.
    """

    def __init__(self, *args: Any, upsample_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, upsample_cfg=dict(mode='bilinear'), **kwargs)
        options = dict(upsample_cfg or {})
        fixed = options.keys() & {'mode', 'scale_factor', 'align_corners'}
        if fixed:
            raise ValueError(f'upsample_cfg of DownsizeFPN has no {", ".join(sorted(fixed))}: the '
                             'upsampling is learned. Drop upsample_cfg, or give options of '
                             'LearnedInterpolation, like dict(_delete_=True, groups=4)')
        self.upsamples = nn.ModuleList(
            LearnedInterpolation(self.out_channels, **options) for _ in self.lateral_convs[1:])

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The backbone's maps (N, C_i, H_i, W_i) to ``num_outs`` maps of ``out_channels``."""
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'{len(inputs)} maps came, in_channels has {len(self.in_channels)}')
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, inputs[self.start_level:])]
        for i in reversed(range(len(self.upsamples))):  # top-down
            laterals[i] = laterals[i] + self.upsamples[i](laterals[i + 1], size_of(laterals[i]))
        outs = [conv(x) for conv, x in zip(self.fpn_convs, laterals)]
        if not self.add_extra_convs:
            while len(outs) < self.num_outs:
                outs.append(F.max_pool2d(outs[-1], 1, stride=2))
            return tuple(outs)
        x = {'on_input': inputs[self.backbone_end_level - 1],
             'on_lateral': laterals[-1],
             'on_output': outs[-1]}[self.add_extra_convs]
        for conv in self.fpn_convs[len(outs):]:
            outs.append(conv(x))
            x = F.relu(outs[-1]) if self.relu_before_extra_convs else outs[-1]
        return tuple(outs)

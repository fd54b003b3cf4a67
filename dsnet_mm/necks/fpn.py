"""A feature pyramid with learned upsampling."""
from collections.abc import Iterable
from typing import Any

from dsnet_mm.necks.interpolation import LearnedInterpolation
from dsnet_mm.registry import MODELS

import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@MODELS.register_module()
class DownsizeFPN(FPN):
    """mmdet's ``FPN`` with learned interpolation on the top-down path.

    Untrained it is ``FPN(upsample_cfg=dict(mode='bilinear'))``, whose weights it takes. mmdet's
    default is ``'nearest'``.

    Args:
        *args, **kwargs: Those of ``FPN``.
        upsample_cfg (dict, optional): Options of
            :class:`~dsnet_mm.necks.interpolation.LearnedInterpolation`, such as ``groups``.

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
        with _Upsampling(reversed(self.upsamples)):
            return super().forward(inputs)


class _Upsampling(TorchFunctionMode):
    """Within it, each call of ``F.interpolate`` goes to the next of some layers: mmdet's FPN has no
    other way in."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = iter(layers)

    def __torch_function__(self, function: Any, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function is F.interpolate:
            return next(self.layers)(args[0], kwargs['size'])
        return function(*args, **kwargs)

"""A neck that resizes feature maps."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.models.necks.interpolation import LearnedInterpolation
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers.ops.size import size_of

from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class DownsizeNeck(BaseModule):
    """Resizes the levels of a feature pyramid by learned interpolation.

    Behind another neck::

        neck=[dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=256, num_outs=4),
              dict(type='dsnet_mm.DownsizeNeck', in_channels=[256] * 4, to_level=0)]

    Levels with factor 1, and level ``to_level``, pass unchanged. Configure the head for the new
    strides.

    Args:
        in_channels (Sequence[int]): Channels of each level.
        scale_factors (Sequence[float | tuple[float, float]], optional): Factor of each level, or
            factors of height and width. Give exactly one of this and ``to_level``.
        to_level (int, optional): Index of the level to whose size all levels are resized.
        init_cfg (dict, optional): mmengine's; it does not reach the learned interpolation.
        **options (Any): Those of :class:`~dsnet_mm.LearnedInterpolation`, such as ``groups``.

    Raises:
        ValueError, TypeError: If both or none are given, or an argument is wrong or unknown.
    """

    def __init__(self, in_channels: Sequence[int],
                 scale_factors: Sequence[float | Sequence[float]] | None = None,
                 to_level: int | None = None, init_cfg: dict | list | None = None,
                 **options: Any) -> None:
        super().__init__(init_cfg)
        levels = len(in_channels)
        if (scale_factors is None) == (to_level is None):
            raise ValueError('give either scale_factors=[0.5, 1, ...], one for each level, or '
                             f'to_level=0, got {scale_factors} and {to_level}')
        if to_level is not None and not -levels <= to_level < levels:
            raise ValueError(f'to_level={to_level} must be the index of one of {levels} levels')
        factors = levels * [None] if scale_factors is None else scale_factors
        if len(factors) != levels:
            raise ValueError(f'scale_factors must be as many as the {levels} levels of '
                             f'in_channels, got {scale_factors}')
        self.to_level = to_level
        unchanged = [factor in (1, (1, 1), [1, 1]) if to_level is None
                     else level == to_level % levels for level, factor in enumerate(factors)]
        self.levels = nn.ModuleList(
            nn.Identity() if keep else LearnedInterpolation(channels, factor, **options)
            for channels, factor, keep in zip(in_channels, factors, unchanged))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Resizes the levels (N, C_i, H_i, W_i)."""
        if len(inputs) != len(self.levels):
            raise ValueError(f'{len(inputs)} levels came, in_channels has {len(self.levels)}')
        size = None if self.to_level is None else size_of(inputs[self.to_level])
        return tuple(x if isinstance(level, nn.Identity) else level(x, size)
                     for level, x in zip(self.levels, inputs))

"""Learned corrections of bilinear interpolation: the base of two published resizers."""
import math
from collections.abc import Callable, Sequence
from numbers import Real

from dsnet_mm.resizers.ops.size import Size, check_images, check_positive, check_size, to_float

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualResizer(nn.Module):
    """A resizer that adds a learned correction to bilinear interpolation."""
    UNIT_RANGE = (0, 1)  # the value range in which the correction is computed
    _correction: Callable[[Tensor, Size], Tensor]

    def __init__(self, in_channels: int, value_range: Sequence[float]) -> None:
        super().__init__()
        check_positive(in_channels=in_channels)
        self.in_channels = in_channels
        self.value_range = _check_range(value_range)

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images.

        Args:
            images (Tensor): (N, C, H, W), in the value range given at construction.
            size (tuple[int, int]): Height and width of the output in pixels, smaller or larger.

        Returns:
            Tensor: (N, C, h, w), clamped to the value range; the gradient is that of the values
            before clamping, as published.

        Raises:
            TypeError: If the images are neither floating-point nor unsigned 8-bit, or the size is
                not integers.
            ValueError: If the images are empty or have the wrong shape, or the size is wrong.
        """
        check_images(images, self.in_channels)
        size, images = check_size(size), to_float(images, next(self.parameters()).dtype)
        low, high = self.value_range
        least, most = self.UNIT_RANGE
        unit = (high - low) / (most - least)
        correction = self._correction((images - low) / unit + least, size)
        resized = bilinear(images, size) + unit * correction
        return resized.detach().clamp(low, high) + (resized - resized.detach())


def bilinear(images: Tensor, size: Size) -> Tensor:
    """Bilinear interpolation without antialiasing."""
    return F.interpolate(images, size, mode='bilinear', align_corners=False)


def _check_range(value_range: Sequence[float]) -> tuple[float, float]:
    if isinstance(value_range, (str, Real)) or len(value_range) != 2 or not (
            -math.inf < value_range[0] < value_range[1] < math.inf):
        raise ValueError('value_range must be the least and the greatest value of the images, '
                         f'like (0, 255), got {value_range!r}')
    return value_range[0], value_range[1]

"""Where each output pixel falls in the input: the geometry of resizing, stated once.

Pixels are squares with their centres at half-integers, so along each axis output pixel ``i`` falls
on input coordinate ``(i + 0.5) * size_in / size_out - 0.5`` (``align_corners=False``).
"""
from typing import NamedTuple

from dsnet_mm.resizers.size import Size

import torch
from torch import Tensor


class Axis(NamedTuple):
    """The two neighbours of each output pixel along one axis.

    Attributes:
        lower (Tensor): (size_out, ) index of the neighbour before the projected point.
        upper (Tensor): (size_out, ) index of the one after it; the same at the far edge.
        fraction (Tensor): (size_out, ) distance from the lower neighbour in pixels, in [0, 1].
    """
    lower: Tensor
    upper: Tensor
    fraction: Tensor


class Grid(NamedTuple):
    """The four neighbours of each output pixel: P1 (y lower, x lower), P2 (y lower, x upper),
    P3 (y upper, x lower), P4 (y upper, x upper)."""
    y: Axis
    x: Axis

    def bilinear_weights(self) -> Tensor:
        """(4, h, w) weights of bilinear interpolation, as ``F.interpolate`` has them."""
        y, x = self.y.fraction[:, None], self.x.fraction
        return torch.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x])

    def distances(self) -> Tensor:
        """(4, h, w) distances from the projected point to its four neighbours, in pixels."""
        y, x = self.y.fraction[:, None], self.x.fraction
        return torch.stack([torch.hypot(*torch.broadcast_tensors(dy, dx))
                            for dy in (y, 1 - y) for dx in (x, 1 - x)])


def project(size_in: Size, size_out: Size, like: Tensor) -> Grid:
    """The neighbours of every pixel of an output of ``size_out`` in an input of ``size_in``.

    Args:
        like (Tensor): Gives the device, and the dtype of the fractions.
    """
    return Grid(*(_project_axis(n_in, n_out, like) for n_in, n_out in zip(size_in, size_out)))


def _project_axis(size_in: int, size_out: int, like: Tensor) -> Axis:
    # F.interpolate computes in float32 with a fused multiply-add. Half a pixel is then off by
    # 1e-4 beyond the thousandth pixel, so to agree with it the ratio is rounded as it rounds it.
    ratio = torch.tensor(size_in / size_out, dtype=torch.float32).double()
    point = (torch.arange(size_out, dtype=torch.float64) + 0.5) * ratio - 0.5
    point = point.float().clamp(min=0)
    lower = point.long().clamp(max=size_in - 1)
    upper = (lower + 1).clamp(max=size_in - 1)
    fraction = (point - lower).clamp(max=1)
    return Axis(lower.to(like.device), upper.to(like.device), fraction.to(like))


def nearest(size_in: int, size_out: int, device: torch.device | str = 'cpu') -> Tensor:
    """(size_out, ) index of the input pixel in which each output pixel's centre falls.

    The same as ``F.interpolate(mode='nearest-exact')``, for label maps of any dtype.
    """
    return (2 * torch.arange(size_out, device=device) + 1) * size_in // (2 * size_out)

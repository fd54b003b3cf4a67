"""The geometry of resizing: the position of each output pixel in the input, and its neighbours.

Pixels are squares with their centres at half-integers, so along each axis output pixel ``i`` falls
on input coordinate ``(i + 0.5) * size_in / size_out - 0.5`` (``align_corners=False``).
"""
from collections.abc import Sequence
from typing import NamedTuple

from dsnet_mm.resizers.ops.graphs import is_compiling
from dsnet_mm.resizers.ops.size import Size

import torch
from torch import Tensor

# Pixels by which rounding may miss the middle between two of them.
_HALFWAY = 1e-4


class Axis(NamedTuple):
    """The neighbours of each output pixel along one axis.

    Attributes:
        neighbours (Tensor): (taps, size_out) their indices; beyond the edge that of the edge.
        weights (Tensor): (taps, size_out) their interpolation weights; zero beyond the edge.
        fraction (Tensor): (size_out, ) distance of the projected point from the nearest neighbour
            before it in pixels, in [0, 1].
        stride (int): Pixels between projected points if that is a whole number above 1, else 0.
        first (int): With a stride, the first element of ``lower()`` as a number.
    """
    neighbours: Tensor
    weights: Tensor
    fraction: Tensor
    stride: int = 0
    first: int = 0

    # A method, as PyTorch 2.9 cannot compile properties of a NamedTuple.
    def lower(self) -> Tensor:
        """(size_out, ) index of the first neighbour."""
        return self.neighbours[0]

    def slices(self) -> tuple[slice, slice]:
        """With a stride, all first and all second neighbours as slices of the input."""
        length = (len(self.lower()) - 1) * self.stride + 1
        first, second = (slice(start, start + length, self.stride)
                         for start in (self.first, self.first + 1))
        return first, second

    def select(self, points: Tensor | slice) -> 'Axis':
        """The neighbours of some of the points, in any order."""
        return Axis(self.neighbours[:, points], self.weights[:, points], self.fraction[points])

    def part(self, points: Tensor | slice, margin: int = 0) -> tuple[slice, 'Axis']:
        """The part of the input that some points need, with a margin on both sides where there is
        one, and their neighbours in it. With a stride the points must be consecutive."""
        neighbours, weights, fraction, *_ = self.select(points)
        low = max(int(neighbours.min()) - margin, 0)
        high = int(neighbours.max()) + margin + 1
        neighbours = neighbours - low
        return slice(low, high), Axis(neighbours, weights, fraction, self.stride,
                                      int(neighbours[0, 0]))

    def of_rows(self, rows: slice, number: int) -> Tensor | slice:
        """The points of some of an output's ``number`` rows: the rows themselves, or with
        :func:`dense` their edges and centres and the margins around these."""
        count = len(self.fraction)
        if count == number:
            return rows
        more = count // 2 - number  # edges, and centres, in the margins
        each = torch.arange(rows.start, rows.stop + more, device=self.fraction.device)
        return torch.cat([each, count // 2 + each])

    def to(self, like: Tensor) -> 'Axis':
        """Moves the axis to the device of a tensor; weights and fractions get its dtype."""
        # PyTorch 2.1 cannot compile _replace.
        return Axis(self.neighbours.to(like.device), self.weights.to(like),
                    self.fraction.to(like), self.stride, self.first)


class Grid(NamedTuple):
    """The neighbours of each output pixel along both axes; of two each, the four are the paper's P1
    (y lower, x lower), P2 (y lower, x upper), P3 and P4."""
    y: Axis
    x: Axis

    def to(self, like: Tensor) -> 'Grid':
        """Moves the grid to the device of a tensor; weights and fractions get its dtype."""
        return Grid(self.y.to(like), self.x.to(like))

    def size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return len(self.y.fraction), len(self.x.fraction)

    def distinct(self) -> 'Grid':
        """The output pixels of different fractions: one with strides along both axes, else all."""
        if not (self.y.stride and self.x.stride):
            return self
        first = slice(0, 1)
        return Grid(self.y.select(first), self.x.select(first))

    def prior(self) -> Tensor:
        """(K, h, w) coefficients of the neighbours in ``F.interpolate(mode='bilinear')``."""
        return (self.y.weights[:, None, :, None] * self.x.weights[:, None]).flatten(0, 1)

    def gather(self, images: Tensor) -> Sequence[Tensor]:
        """P1 to P4 of all output pixels, (N, C, h, w) each, from images (N, C, H, W)."""
        if self.y.stride and self.x.stride:
            return [images[:, :, row, column]
                    for row in self.y.slices() for column in self.x.slices()]
        n, channels, _, width = images.shape
        h, w = self.size()
        index = self.y.neighbours[:, None, :, None] * width + self.x.neighbours[:, None]
        selected = images.flatten(2).gather(2, index.flatten().expand(n, channels, -1))
        return selected.unflatten(2, (-1, h, w)).unbind(2)

    def distances(self) -> Tensor:
        """(4, h, w) distances from the projected point to P1 to P4, in pixels."""
        y, x = (torch.stack([axis.fraction, 1 - axis.fraction]).square() for axis in self)
        return (y[:, None, :, None] + x[:, None]).sqrt().flatten(0, 1)  # ONNX has no hypot


def project(size_in: Size, size_out: Size, strided: bool = True) -> Grid:
    """The four neighbours of every output pixel, on the CPU in single precision.

    Args:
        strided (bool): Find strides, except while compiling, where each would need its own graph.
    """
    strided = strided and not is_compiling()
    return Grid(*(_project_axis(*sizes, strided) for sizes in zip(size_in, size_out)))


def dense(size_in: int, size_out: int, margin: int) -> Axis:
    """The neighbours of the edges, then of the centres, of the output pixels along one axis, on the
    CPU in single precision.

    Points up to two pixels of the input apart are interpolated linearly. Further apart they are
    antialiased, with a triangle one pixel narrower on each side than the usual one: what is blurred
    here cannot be sharpened later.

    Args:
        margin (int): Number of points added at each end of the output, equal to the last one.
    """
    reach = size_in / (2 * size_out) - 1
    # Twice the reach, rounded up; in integers, as sizes may be symbolic.
    taps = 2 * max(1, (size_in - 1) // (2 * size_out))
    points = torch.arange(-margin, 2 * size_out + margin + 2).clamp(0, 2 * size_out) / 2
    return _axis(torch.cat([points[::2], points[1::2]]), size_in, size_out, taps, reach)


def around(size_in: int, size_out: int, extent: float | None = None) -> Axis:
    """The three neighbours nearest to each output pixel's projected point, along one axis.

    Args:
        extent (float, optional): Number of pixels of the input that the output shows, from the
            first one on; all by default.

    Returns:
        Axis: On the CPU, in single precision. The weights are those of
        ``F.interpolate(mode='bilinear')``; the fractions are the points' distances from the second
        neighbours, in [-0.5001, 0.5].
    """
    # Rounded as F.interpolate rounds it, see _axis.
    ratio = torch.tensor((size_in if extent is None else extent) / size_out,
                         dtype=torch.float32).double()
    points = ((torch.arange(size_out).double() + 0.5) * ratio - 0.5).float().clamp(0, size_in - 1)
    # Points halfway between two pixels belong to the upper one, however they are rounded.
    middle = (points + 0.5 + _HALFWAY).floor().clamp(max=size_in - 1)
    neighbours = middle + torch.arange(-1, 2)[:, None]
    weights = (1 - (neighbours - points).abs()).clamp(min=0)
    return Axis(neighbours.clamp(0, size_in - 1).long(), weights, points - middle)


def _project_axis(size_in: int, size_out: int, strided: bool) -> Axis:
    axis = _axis(torch.arange(size_out) + 0.5, size_in, size_out, taps=2, reach=1)
    strided = strided and size_in % size_out == 0 and size_in > size_out
    stride = size_in // size_out if strided else 0
    return axis._replace(stride=stride, first=max(stride - 1, 0) // 2)


def _axis(points: Tensor, size_in: int, size_out: int, taps: int, reach: float) -> Axis:
    """The neighbours of points in pixels of the output from its edge, weighted by a triangle of
    half width ``reach``, which is clamped to between 1 and half the number of taps."""
    # Rounded as F.interpolate rounds it, which in float32 is off by 1e-4 pixels beyond the 1000th.
    ratio = torch.tensor(size_in / size_out, dtype=torch.float32).double()
    point = (points.double() * ratio - 0.5).float()
    neighbours = point.floor().long() + torch.arange(1 - taps // 2, 1 + taps // 2)[:, None]
    offsets = neighbours - point
    half = torch.tensor(reach, dtype=torch.float32).double().clamp(1, taps / 2)
    weights = (1 - offsets.abs() / half).clamp(min=0)
    weights[(neighbours < 0) | (neighbours >= size_in)] = 0
    weights = weights / weights.sum(dim=0)
    return Axis(neighbours.clamp(0, size_in - 1), weights, -offsets[taps // 2 - 1])


def nearest(size_in: int, size_out: int, device: torch.device | str = 'cpu') -> Tensor:
    """(size_out, ) index of the input pixel in which each output pixel's centre falls, as in
    ``F.interpolate(mode='nearest-exact')``, for label maps of any dtype."""
    return (2 * torch.arange(size_out, device=device) + 1) * size_in // (2 * size_out)

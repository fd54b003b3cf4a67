"""Output sizes, and checks of sizes and images that all resizers share."""
import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

from dsnet_mm.resizers.ops.graphs import is_exporting

import torch
from torch import Tensor

Size = tuple[int, int]

_LARGEST_SIDE = 2**20  # larger images fit into no memory
_LARGEST_SCALE = 8  # larger factors are meant as pixels
_LARGEST_VALUE = 1e12  # squares of larger values could overflow single precision in sums


class OutputSize:
    """The size that images are resized to, from exactly one of three arguments.

    Args:
        target_size (tuple[int, int], optional): Height and width in pixels, for every image.
        scale (float | tuple[float, float], optional): Factor for both sides, or for height and
            width, at most 8. Rounds down, as ``F.interpolate(scale_factor=...)``: at scale 0.35,
            513 pixels become 179, as in the paper's Table 2.
        short_edge (int, optional): Pixels of the shorter side; the longer one keeps the ratio and
            rounds to the nearest pixel.

    Raises:
        ValueError: If none or several are given, a size or factor is not positive, or a factor
            above 8.
        TypeError: If a size is not an integer, or a factor not a number.
    """

    def __init__(self,
                 target_size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None,
                 short_edge: int | None = None) -> None:
        arguments = dict(target_size=target_size, scale=scale, short_edge=short_edge)
        given = {name: value for name, value in arguments.items() if value is not None}
        if len(given) != 1:
            raise ValueError('give exactly one of target_size=(h, w), scale=0.5 or short_edge=160,'
                             f' got {given or "none of them"}')
        if target_size is not None:
            target_size = check_size(target_size, 'target_size')
        if scale is not None:
            scale = _check_scale(scale)
        if short_edge is not None:
            short_edge = check_size((short_edge, short_edge), 'short_edge')[0]
        self.target_size, self.scale, self.short_edge = target_size, scale, short_edge

    def __call__(self, height: int, width: int) -> Size:
        """The output size (h, w) of an image of this height and width, in pixels.

        Raises:
            ValueError: If the image is empty and the size depends on its own.
        """
        if self.target_size is not None:
            return self.target_size
        if self.scale is not None:
            return _scaled(height, self.scale[0]), _scaled(width, self.scale[1])
        assert self.short_edge is not None  # one of the three is given
        shorter = min(height, width)
        if shorter < 1:
            raise ValueError(f'images must not be empty, got {height}x{width} pixels')
        return (round(height * self.short_edge / shorter),
                round(width * self.short_edge / shorter))

    def times(self, factor: float) -> 'OutputSize':
        """This output size multiplied by a factor."""
        if self.target_size is not None:
            return OutputSize(target_size=[_times(side, factor) for side in self.target_size])
        if self.scale is not None:
            return OutputSize(scale=[side * factor for side in self.scale])
        assert self.short_edge is not None  # one of the three is given
        return OutputSize(short_edge=_times(self.short_edge, factor))

    def __repr__(self) -> str:
        name, value = next((k, v) for k, v in vars(self).items() if v is not None)
        return f'{name}={value}'


def _times(side: int, factor: float) -> int:
    return max(1, round(side * factor))


def check_size(size: Sequence[int], name: str = 'size') -> Size:
    """Returns a size (h, w) as plain integers.

    Raises:
        ValueError: If it is not two numbers, or one is not positive or beyond all images.
        TypeError: If a number is not an integer.
    """
    if isinstance(size, (str, bytes, dict)) or not hasattr(size, '__getitem__') or len(size) != 2:
        raise ValueError(f'{name} must be (height, width) in pixels, got {size!r}')
    side: Any
    for side in size:
        # isinstance first, as PyTorch 2.9 does not compile hasattr.
        is_integer = isinstance(side, int) or hasattr(side, '__index__')
        if isinstance(side, bool) or not is_integer:
            raise TypeError(f'{name} must be integers (pixels), got {size!r}')
        if side < 1:
            raise ValueError(f'{name} must be positive, got {size!r}')
        if side > _LARGEST_SIDE:
            raise ValueError(f'{name} must be at most {_LARGEST_SIDE} pixels a side, got {size!r}')
    # operator.index would make a symbolic size of an exported graph a constant.
    height, width = size if is_exporting() else (operator.index(side) for side in size)
    return height, width


def _scaled(side: int, factor: float) -> int:
    # 100 * 0.29 is 28.999999999999996, but 29 is meant.
    return max(1, math.floor(side * factor + 1e-6))


def _check_scale(scale: float | Sequence[float]) -> tuple[float, float]:
    pair = tuple(scale) if isinstance(scale, Sequence) else (scale, scale)
    if len(pair) != 2 or any(isinstance(s, bool) or not isinstance(s, Real) for s in pair):
        raise TypeError('scale must be a number, or one for height and one for width, got '
                        f'{scale!r}')
    if not all(0 < s <= _LARGEST_SCALE for s in pair):
        raise ValueError(f'scale must be positive, finite and at most {_LARGEST_SCALE}, got '
                         f'{scale!r}; for pixels: target_size=(h, w)')
    return pair[0], pair[1]


def check_positive(**arguments: int) -> None:
    """Raises a ValueError if an argument is not a positive integer."""
    for name, value in arguments.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} must be a positive integer, got {value!r}')


def check_images(images: Tensor, in_channels: int | None = None) -> None:
    """Checks images.

    Raises:
        TypeError: If they are not a tensor of floating-point or unsigned 8-bit numbers.
        ValueError: If they are not (N, C, H, W), have no pixels or not ``in_channels`` channels.
    """
    if not isinstance(images, Tensor) or not (
            images.is_floating_point() or images.dtype == torch.uint8):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f'images must be a floating-point or unsigned 8-bit tensor, got {kind}: '
                        'convert them with .float() (any value range will do)')
    if images.dim() != 4:
        raise ValueError(f'images must be (N, C, H, W), got shape {tuple(images.shape)}')
    if 0 in images.shape:
        raise ValueError(f'images must not be empty, got shape {tuple(images.shape)}')
    if in_channels is not None and images.shape[1] != in_channels:
        raise ValueError(f'images have {images.shape[1]} channels, this network takes '
                         f'{in_channels}: build it with in_channels={images.shape[1]}')


def check_finite(values: Tensor, what: str) -> None:
    """Raises a ValueError that names ``what`` if a value is NaN, infinite or beyond 1e12."""
    low, high = values.float().aminmax()  # both are NaN if one value is
    if low >= -_LARGEST_VALUE and high <= _LARGEST_VALUE:
        return
    bad = ~(values.double().abs() <= _LARGEST_VALUE)
    where = bad.nonzero()[0].tolist()
    raise ValueError(
        f'{what} has {int(bad.sum())} of {values.numel()} values that are NaN, infinite or beyond '
        f'{_LARGEST_VALUE:g}, the first at {where}: {values[tuple(where)].item()}. Fix the file, '
        'or leave it out of the data set')


def size_of(images: Tensor) -> Size:
    """Height and width of images (..., H, W)."""
    height, width = images.shape[-2:]
    return height, width


def top_left(maps: Tensor, size: Size) -> Tensor:
    """Crops maps (N, C, H, W) to a size, from the top left."""
    if not is_exporting():
        return maps[:, :, :size[0], :size[1]]
    # torch.export fixes for all sizes whether a slice is the whole map; indices always copy.
    for axis, length in zip((2, 3), size):
        maps = maps.index_select(axis, torch.arange(length, device=maps.device))
    return maps


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Converts unsigned 8-bit images to a floating-point dtype, and leaves others as they are."""
    return images if images.is_floating_point() else images.to(dtype)

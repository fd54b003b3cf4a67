"""DownsizeNet without gradients, at the cost of little more than its arithmetic.

A large image is cut into tiles whose feature maps stay in the processor's cache, so that neither
the time for a pixel nor the memory grows with the image. A tile takes as many pixels around it as
the convolutions need to see there what they would see in the whole image.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from dsnet_mm.resizers import sampling
from dsnet_mm.resizers.layers import moments
from dsnet_mm.resizers.sampling import Grid
from dsnet_mm.resizers.size import Size

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dsnet_mm.resizers.downsizenet import Constants, DownsizeNet

# Of so many sizes what no image changes is kept, if it is not larger than this.
_KEPT_SIZES = 4
_KEPT_BYTES = 2**25

_kept: WeakKeyDictionary[DownsizeNet, tuple[list[Tensor], dict[tuple, list[Constants]]]]
_kept = WeakKeyDictionary()


class Tile(NamedTuple):
    """A part of the output, the part of the input that it needs, and where it falls in that."""
    rows: slice
    columns: slice
    input_rows: slice
    input_columns: slice
    grid: Grid


def pixels(device: torch.device) -> int:
    """The input of a tile: on the CPU 16 channels of it in single precision take 8 MB, the best
    measured of an eighth to four times that; a GPU wants much to do at once."""
    return 2**17 if device.type == 'cpu' else 2**22


def resize(net: DownsizeNet, images: Tensor, size: Size) -> Tensor:
    """``net(images, size)`` for checked arguments, without gradients.

    Args:
        images (Tensor): (N, C, H, W), floating-point, or unsigned 8-bit and converted by tiles.
    """
    weight = net.logits.weight
    dtype = images.dtype if images.is_floating_point() else weight.dtype
    size_in, budget = tuple(images.shape[-2:]), pixels(images.device)
    key = size_in, size, len(net.texture or ()) // 2, budget, dtype, images.device
    tiles = cut(*key)
    constants = _constants(net, key, tiles)
    keep_freed_memory()
    mean, variance = moments(images, dtype, budget)
    out = images.new_empty((*images.shape[:2], *size), dtype=dtype)
    number = max(1, budget // math.prod(size_in))
    for part in (slice(i, i + number) for i in range(0, len(images), number)):
        for tile, constant in zip(tiles, constants):
            pixels_in = images[part, :, tile.input_rows, tile.input_columns].to(dtype)
            out[part, :, tile.rows, tile.columns] = net.resize_part(
                pixels_in, tile.grid, mean[part], variance[part], constant)
    return out


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Tells glibc's malloc to hand out again what was freed.

    It maps every block as large as the largest one freed so far anew, up to 32 MB, and then each of
    its pages faults: for one image of 300x300 that took twice as long as all computation. The block
    freed here is never touched.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


@lru_cache(maxsize=16)
def cut(size_in: Size, size_out: Size, margin: int, budget: int, dtype: torch.dtype,
        device: torch.device) -> list[Tile]:
    """The tiles of a resize.

    Args:
        margin (int): Pixels around the projected points that the convolutions see.
        budget (int): Pixels of the input that a tile should have at most.
        dtype (torch.dtype): Of weights and fractions.
        device (torch.device): Of the grids.
    """
    # Tensors made in inference mode could not be used outside of it, and they are kept.
    with torch.inference_mode(False):
        grid = sampling.project(size_in, size_out)
        # Rows are read one after the other: long ones, but so many that their margins cost little.
        width = min(size_in[1], max(1, math.isqrt(32 * budget)))
        height = max(1, budget // width)
        like = torch.empty(0, dtype=dtype, device=device)
        tiles = []
        for rows in _even_parts(size_out[0], -(-size_in[0] // height)):
            for columns in _even_parts(size_out[1], -(-size_in[1] // width)):
                (input_rows, y), (input_columns, x) = (
                    axis.part(part.start, part.stop, margin)
                    for axis, part in zip(grid, (rows, columns)))
                tiles.append(Tile(rows, columns, input_rows, input_columns,
                                  Grid(y.to(like), x.to(like))))
    return tiles


def _even_parts(length: int, number: int) -> list[slice]:
    number = min(number, length)
    bounds = [length * i // number for i in range(number + 1)]
    return [slice(*pair) for pair in zip(bounds, bounds[1:])]


def _constants(net: DownsizeNet, key: tuple,
               tiles: list[Tile]) -> Sequence[Constants | None]:
    """Those of every tile, from the last time if nothing has changed; None for what is not kept."""
    number = 4 * (1 + net.bilinear_prior) * math.prod(key[1])
    if number * net.logits.weight.element_size() > _KEPT_BYTES:
        return [None] * len(tiles)
    # By value: what averages or loads weights does not always leave another trace.
    weights = [p.detach() for module in (net.distance, net.logits) if module is not None
               for p in module.parameters()]
    before, kept = _kept.get(net, ([], {}))
    if len(before) != len(weights) or not all(
            a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)
            for a, b in zip(before, weights)):
        kept = {}
        with torch.inference_mode(False):
            _kept[net] = [p.clone() for p in weights], kept
    if key not in kept:
        while len(kept) >= _KEPT_SIZES:
            kept.pop(next(iter(kept)))
        # They serve calls with autocast and without.
        with (torch.inference_mode(False), torch.no_grad(),
              torch.autocast(weights[0].device.type, enabled=False)):
            kept[key] = _packed((net.constants(tile.grid) for tile in tiles),
                                weights[0].new_empty(number))
    return kept[key]


def _packed(constants: Iterable[Constants], block: Tensor) -> list[Constants]:
    """Copies in one block of memory: small ones kept among large ones would keep these from being
    used again."""
    def moved(part: Tensor) -> Tensor:
        nonlocal block
        copy, block = block.tensor_split([part.numel()])
        return copy.view(part.shape).copy_(part)

    return [each._replace(logits=moved(each.logits),
                          prior=None if each.prior is None else moved(each.prior))
            for each in constants]

"""DownsizeNet without gradients, in tiles.

A large image is cut into tiles whose feature maps stay in the processor's cache, so that neither
the time for a pixel nor the memory grows with the image. A tile takes as many pixels around it as
the convolutions need to see there what they would see in the whole image.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from dsnet_mm.resizers import downsizenet_fast
from dsnet_mm.resizers.downsizenet_fast import Terms, image_independent_terms, mean_and_variance
from dsnet_mm.resizers.downsizenet_plain import PlainDownsizeNet
from dsnet_mm.resizers.memory import keep_freed_memory
from dsnet_mm.resizers.ops import sampling
from dsnet_mm.resizers.ops.sampling import Grid
from dsnet_mm.resizers.ops.size import Size, size_of

import torch
from torch import Tensor

# The cache of image-independent terms: at most so many entries, each of at most so many bytes.
_ENTRIES = 4
_ENTRY_BYTES = 2**24
_terms: dict[tuple, list[Terms]] = {}


class Tile(NamedTuple):
    """A part of the output, the part of the input that it needs, and where it falls in that."""
    rows: slice
    columns: slice
    input_rows: slice
    input_columns: slice
    grid: Grid


def pixels(device: torch.device) -> int:
    """Input pixels of a tile: on the CPU 16 channels of them in single precision take 8 MB, the
    best measured of an eighth to four times that; a GPU wants much to do at once."""
    return 2**17 if device.type == 'cpu' else 2**22


def resize(net: PlainDownsizeNet, images: Tensor, size: Size) -> Tensor:
    """Resizes images without gradients.

    Args:
        net (PlainDownsizeNet): The network.
        images (Tensor): (N, C, H, W), floating-point, or unsigned 8-bit and converted by tiles.
        size (tuple[int, int]): Height and width of the output in pixels.

    Returns:
        Tensor: (N, C, h, w), floating-point.
    """
    keep_freed_memory()
    dtype = images.dtype if images.is_floating_point() else net.logits.weight.dtype
    size_in, budget = size_of(images), pixels(images.device)
    cutting = size_in, size, len(net.texture or ()) // 2, budget, dtype, images.device
    tiles = cut(*cutting)
    terms = _cached_terms(net, tiles, cutting)
    mean, variance = moments(images, dtype, budget)
    out = images.new_empty((*images.shape[:2], *size), dtype=dtype)
    number = max(1, budget // math.prod(size_in))
    for part in (slice(i, i + number) for i in range(0, len(images), number)):
        for tile, term in zip(tiles, terms):
            pixels_in = images[part, :, tile.input_rows, tile.input_columns].to(dtype)
            out[part, :, tile.rows, tile.columns] = downsizenet_fast.resize(
                net, pixels_in, tile.grid, (mean[part], variance[part]), term)
    return out


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
                tiles.append(Tile(rows, columns, input_rows, input_columns, Grid(y, x).to(like)))
    return tiles


def moments(images: Tensor, dtype: torch.dtype, budget: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each image, from one band of rows after the other.

    Args:
        images (Tensor): (N, C, H, W), unsigned 8-bit or floating-point.
        dtype (torch.dtype): To compute in; in single precision at least.
        budget (int): Pixels of a band, few enough to stay in the processor's cache.

    Returns:
        tuple[Tensor, Tensor]: (N, C, 1, 1) each.
    """
    n, channels, height, width = images.shape
    dtype = torch.promote_types(dtype, torch.float32)
    bands = images.split(max(1, budget // (n * width)), dim=2)
    if len(bands) == 1:
        return mean_and_variance(images.to(dtype))
    # In one block: small blocks kept among large ones would keep these from being used again.
    found = torch.empty(2, len(bands), n, channels, 1, 1, dtype=dtype, device=images.device)
    for index, band in enumerate(bands):
        found[0, index], found[1, index] = mean_and_variance(band.to(dtype))
    shares = found.new_tensor([band.shape[2] / height for band in bands]).view(-1, 1, 1, 1, 1)
    mean = (shares * found[0]).sum(dim=0)
    return mean, (shares * (found[1] + (found[0] - mean).square())).sum(dim=0)


def _even_parts(length: int, number: int) -> list[slice]:
    number = min(number, length)
    bounds = [length * i // number for i in range(number + 1)]
    return [slice(*pair) for pair in zip(bounds, bounds[1:])]


def _cached_terms(net: PlainDownsizeNet, tiles: list[Tile],
                  cutting: tuple) -> Sequence[Terms | None]:
    """The image-independent terms of every tile; None for those to be computed when needed.

    They are kept from call to call on the CPU, where they take a tenth of the time. To compare the
    weights a GPU would have to wait.
    """
    weights = [p.detach() for name, p in net.named_parameters() if not name.startswith('texture.')]
    number = 4 * (1 + net.bilinear_prior) * math.prod(cutting[1])
    if weights[0].device.type != 'cpu' or number * weights[0].element_size() > _ENTRY_BYTES:
        return [None] * len(tiles)
    # By value: what averages or loads weights does not always leave another trace.
    values = b''.join(p.flatten().view(torch.uint8).numpy().tobytes() for p in weights)
    key = *cutting, weights[0].dtype, net.bilinear_prior, values
    if key not in _terms:
        while len(_terms) >= _ENTRIES:
            del _terms[next(iter(_terms))]
        # They serve calls with autocast and without, in inference mode and outside of it.
        with (torch.inference_mode(False), torch.no_grad(),
              torch.autocast('cpu', enabled=False)):
            _terms[key] = [image_independent_terms(net, tile.grid) for tile in tiles]
    return _terms[key]

"""Images in bands of rows, whose intermediate maps fit into the processor's cache: neither the time
per pixel nor the memory grows with the image."""
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dsnet_mm.resizers.ops.graphs import is_compiling, needs_gradients
from dsnet_mm.resizers.ops.sampling import Grid
from dsnet_mm.resizers.ops.size import Size

import torch
from torch import Tensor, nn


class Band(NamedTuple):
    """Some rows of the output, the rows of the input that they need, and their neighbours there."""
    rows: slice
    input_rows: slice
    grid: Grid


def apply_to(net: nn.Module, *inputs: Tensor) -> bool:
    """Whether a network may compute in bands: not while gradients or a graph are recorded, as a
    graph of whole images holds for all sizes."""
    return not (needs_gradients(net, *inputs) or is_compiling() or torch.jit.is_tracing())


def split(rows: slice, number: int) -> list[slice]:
    """Splits rows into bands of at most ``number`` rows."""
    return [slice(start, min(start + number, rows.stop))
            for start in range(rows.start, rows.stop, number)]


@lru_cache(maxsize=16)
def cut(make_grid: Callable[[Size, Size], Grid], size_in: Size, size_out: Size, number: int,
        margin: int, dtype: torch.dtype, device: torch.device) -> list[Band]:
    """Cuts a resize into bands.

    Args:
        make_grid (Callable): From the sizes of input and output to the neighbours of all points,
            one a row of the output or as :func:`~.sampling.dense` places them.
        number (int): Rows of the output in a band.
        margin (int): Rows of the input to add on both sides of the neighbours.
    """
    # The result is cached, and inference tensors could not be used outside of inference mode.
    with torch.inference_mode(False):
        y, x = make_grid(size_in, size_out).to(torch.empty(0, dtype=dtype, device=device))
        bands = []
        for rows in split(slice(0, size_out[0]), number):
            input_rows, part = y.part(y.of_rows(rows, size_out[0]), margin)
            bands.append(Band(rows, input_rows, Grid(part, x)))
    return bands

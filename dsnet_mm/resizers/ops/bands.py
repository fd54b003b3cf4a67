"""Images in bands of rows, so that what is computed in between stays in the processor's cache.

Neither the time for a pixel nor the memory then grows with the image.
"""
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dsnet_mm.resizers.ops.sampling import Grid
from dsnet_mm.resizers.ops.size import Size

import torch


class Band(NamedTuple):
    """Some rows of the output, and what is needed to compute them.

    Attributes:
        rows (slice): The rows of the output.
        input_rows (slice): The rows of the input that they need.
        grid (Grid): The neighbours of their points in these rows.
    """
    rows: slice
    input_rows: slice
    grid: Grid


def split(rows: slice, number: int) -> list[slice]:
    """Rows in parts of so many at most."""
    return [slice(start, min(start + number, rows.stop))
            for start in range(rows.start, rows.stop, number)]


@lru_cache(maxsize=16)
def cut(make_grid: Callable[[Size, Size], Grid], size_in: Size, size_out: Size, number: int,
        margin: int, dtype: torch.dtype, device: torch.device) -> list[Band]:
    """Cuts a resize into bands.

    Args:
        make_grid (Callable): From the sizes of input and output to the neighbours of all points;
            their rows are those of the output, or :func:`~.sampling.dense` ones.
        size_in, size_out (tuple[int, int]): Height and width in pixels.
        number (int): Rows of the output in a band.
        margin (int): Rows of the input wanted on both sides of the neighbours.
        dtype (torch.dtype): Of the weights and fractions of the grids.
        device (torch.device): Of the grids.
    """
    # Tensors made in inference mode could not be used outside of it, and they are kept.
    with torch.inference_mode(False):
        y, x = make_grid(size_in, size_out).to(torch.empty(0, dtype=dtype, device=device))
        bands = []
        for rows in split(slice(0, size_out[0]), number):
            input_rows, part = y.part(y.of_rows(rows, size_out[0]), margin)
            bands.append(Band(rows, input_rows, Grid(part, x)))
    return bands

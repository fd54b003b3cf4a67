"""Adaptive average pooling in ONNX for maps of any size, as pyramid pooling needs it."""
from collections.abc import Callable, Sequence
from typing import Any

import torch


def _in_onnx(values: Any, output_size: Sequence[int]) -> Any:
    """Matrix products, whose weights follow from the sizes: PyTorch writes indices of one size."""
    import onnxscript  # of all files here only the exporter's need it

    op: Any = onnxscript.opset18

    def weights(axis: int, cells: int) -> Any:
        """(cells, size) 1 / n for the n places of a cell, otherwise 0."""
        size = op.Shape(values, start=axis, end=axis + 1)
        number = op.Constant(value_ints=[cells])
        starts = op.Constant(value_ints=list(range(cells)))
        ends = op.Constant(value_ints=list(range(1, cells + 1)))
        column = op.Constant(value_ints=[1])
        # Whole numbers: the start is rounded down, the end up.
        first = op.Unsqueeze(op.Div(op.Mul(starts, size), number), column)
        last = op.Unsqueeze(op.Div(op.Add(op.Mul(ends, size), op.Constant(value_ints=[cells - 1])),
                                   number), column)
        places = op.Range(op.Constant(value_int=0),
                          op.Squeeze(size, op.Constant(value_ints=[0])),
                          op.Constant(value_int=1))
        inside = op.And(op.GreaterOrEqual(places, first), op.Less(places, last))
        return op.Div(op.Cast(inside, to=1), op.Cast(op.Sub(last, first), to=1))

    rows, columns = (weights(axis, int(cells)) for axis, cells in zip((2, 3), output_size))
    return op.MatMul(op.MatMul(rows, values), op.Transpose(columns, perm=[1, 0]))


TRANSLATIONS: dict[Callable, Callable] = {torch.ops.aten._adaptive_avg_pool2d.default: _in_onnx}

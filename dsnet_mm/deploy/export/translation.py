"""Translation of a graph of ``torch.export`` to ONNX."""
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dsnet_mm.deploy.errors import CannotExport

import torch
from torch.fx import Node

CAN_EXPORT = hasattr(getattr(torch.onnx, 'ONNXProgram', None), 'rename_axes')  # PyTorch > 2.9
ATEN = torch.ops.aten
# The optimiser of torch.onnx.export removes the addition of smaller constants.
NEGLIGIBLE = 1e-8


def to_onnx(program: torch.export.ExportedProgram, names: Sequence[str], axes: Mapping[int, str],
            opset: int, translations: Mapping[Callable, Callable] | None = None) -> Any:
    """Translates a graph from ``images`` to outputs.

    Args:
        program (torch.export.ExportedProgram): The graph.
        names (Sequence[str]): Of the outputs.
        axes (Mapping[int, str]): The names of the dynamic axes of the images.
        opset (int): The version of ONNX's operators.
        translations (Mapping, optional): Further operators of PyTorch in ONNX.
    """
    keep_small_constants(program)
    translated: Any = torch.onnx.export(
        program, input_names=['images'], output_names=list(names), opset_version=opset,
        verbose=False, custom_translation_table={**TRANSLATIONS, **(translations or {})})
    shape = translated.model.graph.inputs[0].shape
    translated.rename_axes({shape[axis]: name for axis, name in axes.items()})
    return translated


@contextmanager
def explained(model: str) -> Iterator[None]:
    """Raises CannotExport with the model's name where PyTorch's exporter fails."""
    try:
        yield
    except CannotExport:
        raise
    except Exception as error:  # PyTorch's errors share no base class
        reason = f'{type(error).__name__}: {error}'.strip().split('\n')[0]
        raise CannotExport(f'{model} ({reason})') from error


def keep_small_constants(program: torch.export.ExportedProgram) -> None:
    """Replaces ``x + c`` in a graph, where c is a tiny constant that keeps a denominator from being
    zero, by ``where(x == 0, c, x)``, because the translation to ONNX would drop the addition.

    Elsewhere the sum is x in single precision, unless x is nearly as small as c.
    """
    graph = program.graph
    for node in list(graph.nodes):
        if not _adds_small_constant(node):
            continue
        values, constant = node.args
        with graph.inserting_before(node):
            is_zero = graph.call_function(ATEN.eq.Scalar, (values, 0))
            kept = graph.call_function(ATEN.where.ScalarSelf, (is_zero, constant, values))
        is_zero.meta = {**node.meta, 'val': ATEN.eq.Scalar(values.meta['val'], 0)}
        kept.meta = node.meta
        node.replace_all_uses_with(kept)
        graph.erase_node(node)
    program.graph_module.recompile()


def _adds_small_constant(node: Node) -> bool:
    return (node.target is ATEN.add.Tensor and not node.kwargs and isinstance(node.args[1], float)
            and 0 < abs(node.args[1]) < NEGLIGIBLE)


def _adaptive_avg_pool(values: Any, output_size: Sequence[int]) -> Any:
    """Adaptive average pooling of maps of any size, by two matrix products whose factors follow
    from the size: PyTorch's own translation holds for one size only."""
    import onnxscript  # needed only for export

    op: Any = onnxscript.opset18

    def averaging(axis: int, cells: int) -> Any:
        """A matrix (cells, size): 1 / n for the n positions of a cell, otherwise 0."""
        size = op.Shape(values, start=axis, end=axis + 1)
        number = op.Constant(value_ints=[cells])
        starts = op.Constant(value_ints=list(range(cells)))
        ends = op.Constant(value_ints=list(range(1, cells + 1)))
        column = op.Constant(value_ints=[1])
        # Integer division: the start is rounded down, the end up.
        first = op.Unsqueeze(op.Div(op.Mul(starts, size), number), column)
        last = op.Unsqueeze(op.Div(op.Add(op.Mul(ends, size), op.Constant(value_ints=[cells - 1])),
                                   number), column)
        positions = op.Range(op.Constant(value_int=0),
                             op.Squeeze(size, op.Constant(value_ints=[0])),
                             op.Constant(value_int=1))
        inside = op.And(op.GreaterOrEqual(positions, first), op.Less(positions, last))
        return op.Div(op.Cast(inside, to=1), op.Cast(op.Sub(last, first), to=1))

    rows, columns = (averaging(axis, int(cells)) for axis, cells in zip((2, 3), output_size))
    return op.MatMul(op.MatMul(rows, values), op.Transpose(columns, perm=[1, 0]))


TRANSLATIONS: dict[Callable, Callable] = {ATEN._adaptive_avg_pool2d.default: _adaptive_avg_pool}

"""Additions that keep a denominator from being zero, which translation to ONNX would drop."""
import torch
from torch.fx import Node

ATEN = torch.ops.aten
# The optimiser behind torch.onnx.export takes what is smaller for zero, and removes adding it.
NEGLIGIBLE = 1e-8


def keep(program: torch.export.ExportedProgram) -> None:
    """Replaces ``x + c`` in a graph, where c is that small, by ``where(x == 0, c, x)``.

    In single precision the sum differs from x elsewhere only where x is nearly as small as c.
    """
    graph = program.graph
    for node in list(graph.nodes):
        if not _adds_little(node):
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


def _adds_little(node: Node) -> bool:
    return (node.target is ATEN.add.Tensor and not node.kwargs and isinstance(node.args[1], float)
            and 0 < abs(node.args[1]) < NEGLIGIBLE)

"""The model behind the resizer in 16-bit floating-point numbers; needs no PyTorch."""
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.export.scopes import nodes_of_model

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
KEPT = {'Resize': (1, 2)}  # inputs that ONNX has in single precision alone


def save_half(file: Path, out: Path) -> None:
    """Writes a file of :mod:`dsnet_mm.deploy.export.writer` with its model in half precision."""
    model = onnx.load(file)
    to_half(model)
    onnx.save(model, out)


def to_half(model: onnx.ModelProto) -> None:
    """Lets the model behind the resizer compute in half precision; what comes in and goes out is
    cast.

    Args:
        model (onnx.ModelProto): A file of :mod:`dsnet_mm.deploy.export.writer`, which is changed.

    Raises:
        ValueError: If it does not say which nodes are the model's.
    """
    graph = model.graph
    inside = {node.name for node in nodes_of_model(model)}
    _part_from_outputs(graph)
    types = {value.name: value.type.tensor_type for value in graph.value_info}
    constants = {each.name: each for each in graph.initializer if each.data_type == FLOAT}
    made = {name for node in graph.node if node.name in inside for name in node.output
            if name in types and types[name].elem_type == FLOAT}
    copies: dict[str, str] = {}
    nodes: list[NodeProto] = []

    def copy(name: str, to: int) -> str:
        """The name of a number in the other precision."""
        if name not in copies:
            copies[name] = f'{name}_{"half" if to == HALF else "float"}'
            if name in constants:
                rounded = numpy_helper.to_array(constants[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(rounded, copies[name]))
            else:
                nodes.append(helper.make_node('Cast', [name], [copies[name]], copies[name], to=to))
        return copies[name]

    for node in graph.node:
        own = node.name in inside
        for place, name in enumerate(node.input):
            half = own and place not in KEPT.get(node.op_type, ())
            if half and name not in made and (
                    name in constants or name in types and types[name].elem_type == FLOAT):
                node.input[place] = copy(name, HALF)
            elif not half and name in made and node.op_type != 'Shape':
                node.input[place] = copy(name, FLOAT)
        if own:
            _make_half(node)
        nodes.append(node)
    for name in made:
        types[name].elem_type = HALF
    _replace(graph.node, nodes)
    used = {name for node in nodes for name in node.input}
    _replace(graph.initializer, [each for each in graph.initializer if each.name in used])


def _part_from_outputs(graph: onnx.GraphProto) -> None:
    """Outputs of the file get nodes of their own, which belong to no module."""
    for output in graph.output:
        inner = f'{output.name}_inner'
        for node in graph.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == output.name:
                        names[place] = inner
        graph.value_info.append(onnx.ValueInfoProto(name=inner, type=output.type))
        graph.node.append(helper.make_node('Identity', [inner], [output.name],
                                           f'{output.name}_identity'))


def _make_half(node: NodeProto) -> None:
    """A node that makes single-precision numbers of others, or of nothing, makes half ones."""
    for attribute in node.attribute:
        if attribute.name in ('to', 'dtype') and attribute.i == FLOAT:
            attribute.i = HALF
        elif attribute.t.data_type == FLOAT:
            value = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(value, attribute.t.name))


def _replace(field: Any, values: list) -> None:
    values = list(values)
    del field[:]
    field.extend(values)

"""The model behind the resizer in 16-bit floating-point numbers."""
from dsnet_mm.deploy.scopes import nodes_of_model

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
# Inputs that ONNX has in single precision alone.
KEPT = {'Resize': (1, 2)}
# Attributes that name the type of the output.
TYPES = {'Cast': 'to'}


def to_half(model: onnx.ModelProto) -> None:
    """Lets the model behind the resizer compute in half precision; where its numbers come in and go
    out they are cast.

    Args:
        model (onnx.ModelProto): A file of :mod:`dsnet_mm.deploy.export`, which is changed.

    Raises:
        ValueError: If it does not say which nodes are the model's.
    """
    graph = model.graph
    floats = {value.name for value in (*graph.value_info, *graph.output)
              if value.type.tensor_type.elem_type == FLOAT}
    constants = {each.name: each for each in graph.initializer if each.data_type == FLOAT}
    inside = nodes_of_model(model)
    made = {name for node in inside for name in node.output if name in floats}

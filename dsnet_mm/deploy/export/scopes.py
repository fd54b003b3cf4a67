"""Which nodes of a file are the model behind the resizer."""
import ast

import onnx

KEY = 'pkg.torch.onnx.name_scopes'  # where PyTorch writes of which modules a node is a part


def nodes_of_model(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of backbone, neck and heads that compute maps and matrices.

    These are not the preprocessor's, nor those of a guided head's upsampling, nor what is computed
    outside of modules: decoding, suppression and the way to full size. Sizes and other vectors, in
    which single precision matters, are not theirs either.

    Args:
        model (onnx.ModelProto): A file of :mod:`dsnet_mm.deploy.export.writer`.

    Raises:
        ValueError: If the nodes do not say to which modules they belong.
    """
    maps = {value.name for value in (*model.graph.value_info, *model.graph.output)
            if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            and len(value.type.tensor_type.shape.dim) > 1}
    nodes = [node for node in model.graph.node
             if _is_of_model(node) and not maps.isdisjoint(node.output)]
    if not nodes:
        raise ValueError('its nodes do not say of which modules they are a part: write it anew '
                         'with "dsnet-mm export deploy"')
    return nodes


def _is_of_model(node: onnx.NodeProto) -> bool:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == KEY), '[]')
    modules = ast.literal_eval(scopes)[:-1]  # the last is the operator
    return any(name.startswith('model.') for name in modules) and not any(
        part in name for name in modules for part in ('data_preprocessor', 'upsampling'))

"""The model behind the resizer in float16 or int8; needs no PyTorch."""
import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsnet_mm.deploy.runtime.images import fit, read_image
from dsnet_mm.deploy.runtime.metadata import Metadata
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_new, check_output

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

SCOPES = 'pkg.torch.onnx.name_scopes'  # the key under which PyTorch names the modules of a node
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
FLOAT_INPUTS = {'Resize': (1, 2)}  # inputs that are float32 in ONNX, whatever the others are
QUANTIZED = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Relu', 'Clip', 'Add', 'Concat', 'MaxPool',
             'AveragePool', 'GlobalAveragePool', 'Resize']


def nodes_of_model(model: ModelProto) -> list[NodeProto]:
    """The nodes of backbone, neck and heads that compute maps and matrices.

    All others stay in float32: those of the preprocessor and of a guided head's upsampling, those
    outside of modules (decoding, suppression and scaling to the input image), and sizes and other
    vectors. Raises a ValueError if the nodes do not name their modules.
    """
    maps = {value.name for value in (*model.graph.value_info, *model.graph.output)
            if value.type.tensor_type.elem_type == FLOAT
            and len(value.type.tensor_type.shape.dim) > 1}
    nodes = [node for node in model.graph.node
             if _is_of_model(node) and not maps.isdisjoint(node.output)]
    if not nodes:
        raise ValueError('its nodes do not name the modules to which they belong: export it again '
                         'with "dsnet-mm export deploy"')
    return nodes


def _is_of_model(node: NodeProto) -> bool:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), '[]')
    modules = ast.literal_eval(scopes)[:-1]  # the last is the operator
    return any(name.startswith('model.') for name in modules) and not any(
        part in name for name in modules for part in ('data_preprocessor', 'upsampling'))


def to_half(model: ModelProto) -> None:
    """Converts the model behind the resizer to float16, with casts at its inputs and outputs.

    onnxruntime's own converter also rounds what passes between two nodes in float32.
    """
    graph = model.graph
    inside = {node.name for node in nodes_of_model(model)}
    _separate_outputs(graph)
    values = {value.name: value.type.tensor_type for value in graph.value_info
              if value.type.tensor_type.elem_type == FLOAT}
    constants = {each.name: each for each in graph.initializer if each.data_type == FLOAT}
    halves = {name for node in graph.node if node.name in inside for name in node.output
              if name in values}
    nodes: list[NodeProto] = []
    converted: dict[str, str] = {}

    def convert(name: str, to: int) -> str:
        """Converts a value or constant, and returns the name of the result."""
        if name not in converted:
            converted[name] = f'{name}_{"half" if to == HALF else "float"}'
            if name in constants:
                array = numpy_helper.to_array(constants[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(array, converted[name]))
            else:
                nodes.append(helper.make_node('Cast', [name], [converted[name]], converted[name],
                                              to=to))
        return converted[name]

    for node in graph.node:
        for index, name in enumerate(node.input):
            half = node.name in inside and index not in FLOAT_INPUTS.get(node.op_type, ())
            if half and name not in halves and (name in constants or name in values):
                node.input[index] = convert(name, HALF)
            elif not half and name in halves and node.op_type != 'Shape':
                node.input[index] = convert(name, FLOAT)
        if node.name in inside:
            _convert_attributes(node)
        nodes.append(node)
    for name in halves:
        values[name].elem_type = HALF
    used = {name for node in nodes for name in node.input}
    initializers = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)


def _separate_outputs(graph: GraphProto) -> None:
    """Lets each output of the file be that of a node outside of modules, which stays in float32."""
    for output in graph.output:
        inner = f'{output.name}_inner'
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [inner if name == output.name else name for name in names]
        graph.value_info.append(onnx.ValueInfoProto(name=inner, type=output.type))
        graph.node.append(helper.make_node('Identity', [inner], [output.name],
                                           f'{output.name}_identity'))


def _convert_attributes(node: NodeProto) -> None:
    """Converts the type that a node casts to, and its constants."""
    for attribute in node.attribute:
        if attribute.name in ('to', 'dtype') and attribute.i == FLOAT:
            attribute.i = HALF
        elif attribute.t.data_type == FLOAT:
            array = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))


def quantize(file: Path, images: Sequence[Path], out: Path, reduce_range: bool = False,
             done: Callable[[], None] = lambda: None) -> Metadata:
    """Writes a file whose model behind the resizer computes in int8.

    Args:
        file (Path): Written by "dsnet-mm export deploy".
        images (Sequence[Path]): The ranges of the activations are those on these images, which
            should be like those of the application.
        out (Path): The new file.
        reduce_range (bool): 7 instead of 8 bits for the weights.
        done (Callable): Called after each image.

    Returns:
        Metadata: Of the new file.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If the file cannot be quantised, or is the new file.
    """
    check_new(out, {file.resolve()}, overwrite=True)
    check_output(out)
    session = Session(file)
    if session.metadata.precision != 'float32':
        raise ValueError(f'{file} computes in {session.metadata.precision} already: give the file '
                         'in float32 from which it was made')
    model = onnx.load(file)
    try:
        nodes = [node.name for node in nodes_of_model(model) if node.op_type in QUANTIZED]
    except ValueError as error:
        raise ValueError(f'{file} cannot be used: {error}') from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    metadata = replace(session.metadata, precision='int8')
    add_pre_process_metadata(model)  # PyTorch's exporter has optimised it
    with atomic_write(out) as unfinished:
        quantize_static(
            model, unfinished, Batches(_arranged(session, images, done)), per_channel=True,
            op_types_to_quantize=QUANTIZED, nodes_to_quantize=nodes, reduce_range=reduce_range,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        model = onnx.load(unfinished)
        helper.set_model_props(model, {**properties, **metadata.to_properties()})
        onnx.save(model, unfinished)
        Session(unfinished)
    return metadata


class Batches(CalibrationDataReader):
    """An iterator in the form in which onnxruntime asks for calibration data."""

    def __init__(self, batches: Iterator[dict[str, np.ndarray]]) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def _arranged(session: Session, files: Sequence[Path],
              done: Callable[[], None]) -> Iterator[dict[str, np.ndarray]]:
    size = session.metadata.size
    for file in files:
        image = read_image(file)
        yield {'images': session.arrange(image if size is None else fit(image, size))}
        done()

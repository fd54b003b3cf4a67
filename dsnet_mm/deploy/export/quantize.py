"""The model behind the resizer in 8 bits: onnxruntime's static quantisation. Needs no PyTorch."""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsnet_mm.deploy.export.images import fit
from dsnet_mm.deploy.export.scopes import nodes_of_model
from dsnet_mm.deploy.runtime.images import read_image
from dsnet_mm.deploy.runtime.metadata import Metadata
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_output

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

OPERATORS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Relu', 'Clip', 'Add', 'Concat', 'MaxPool',
             'AveragePool', 'GlobalAveragePool', 'Resize']


def quantize(file: Path, images: Sequence[Path], out: Path, reduce_range: bool = False,
             done: Callable[[], None] = lambda: None) -> Metadata:
    """Writes a file whose model computes in 8 bits.

    Args:
        file (Path): Written by "dsnet-mm export deploy".
        images (Sequence[Path]): Like those that it will be used on. The ranges of all numbers are
            those that are seen on them.
        out (Path): The new file.
        reduce_range (bool): Weights of 7 bits.
        done (Callable): Called after each image.

    Returns:
        Metadata: What stands in the new file.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If the file cannot be quantised, or is the new file.
    """
    if out.resolve() == file.resolve():
        raise ValueError(f'{out} is the file that is read: give another name')
    check_output(out)
    session = Session(file)
    metadata = session.metadata
    if metadata.precision != 'float32':
        raise ValueError(f'{file} computes in {metadata.precision} already: give the file in '
                         'float32 that it was made of')
    model = onnx.load(file)
    try:
        nodes = [node.name for node in nodes_of_model(model) if node.op_type in OPERATORS]
    except ValueError as error:
        raise ValueError(f'{file} cannot be used: {error}') from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    add_pre_process_metadata(model)  # as the exporter has done it
    with atomic_write(out) as unfinished:
        quantize_static(
            model, unfinished, Images(session, images, done), per_channel=True,
            op_types_to_quantize=OPERATORS, nodes_to_quantize=nodes, reduce_range=reduce_range,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        model = onnx.load(unfinished)
        metadata = replace(metadata, precision='int8')
        onnx.helper.set_model_props(model, {**properties, **metadata.to_properties()})
        onnx.save(model, unfinished)
        Session(unfinished)
    return metadata


class Images(CalibrationDataReader):
    """The images of a calibration, as onnxruntime asks for them."""

    def __init__(self, session: Session, files: Sequence[Path], done: Callable[[], None]) -> None:
        self.batches = self._read(session, files, done)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)

    @staticmethod
    def _read(session: Session, files: Sequence[Path],
              done: Callable[[], None]) -> Iterator[dict[str, np.ndarray]]:
        size = session.metadata.size
        for file in files:
            image = read_image(file)
            yield {'images': session.arrange(image if size is None else fit(image, size))}
            done()

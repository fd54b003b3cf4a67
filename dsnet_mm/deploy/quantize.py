"""The model behind the resizer in 8 bits: ``dsnet-mm quantize``. Needs no PyTorch."""
import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsnet_mm.deploy.files import read_image
from dsnet_mm.deploy.images import fit, pick
from dsnet_mm.deploy.metadata import Metadata
from dsnet_mm.deploy.scopes import nodes_of_model
from dsnet_mm.deploy.session import Session
from dsnet_mm.files import atomic_write, check_output

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from rich.console import Console
from rich.progress import Progress

NUMBER = 100  # of images
DESCRIPTION = """\
Writes an exported file once more, with 8-bit numbers in the model behind the resizer.

Convolutions and matrix products and what lies between them compute on unsigned 8-bit activations,
whose ranges are those seen on IMAGES, and signed 8-bit weights, of a scale for each output channel:
onnxruntime's static quantisation, QDQ. Resizing, normalisation, decoding, suppression and the way
to full size stay in single precision. What is lost, "dsnet-mm evaluate" measures.
"""
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


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm quantize', description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy"')
    parser.add_argument('images', type=Path, metavar='IMAGES',
                        help='folder of images, of which the ranges of the activations are taken')
    parser.add_argument('out', type=Path, metavar='OUT.onnx', help='the new file')
    parser.add_argument('--number', type=int, default=NUMBER,
                        help='of images that are used (default: %(default)s, or all)')
    parser.add_argument('--reduce-range', action='store_true',
                        help='weights of 7 bits: for x86 processors without VNNI instructions, '
                        'whose sums of 8-bit products overflow')
    args = parser.parse_args(arguments)
    if args.number < 1:
        parser.error('--number must be positive')
    return args


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm quantize``, and returns the exit status."""
    args = parse_args(arguments)
    try:
        files = pick(args.images, args.number)
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task('Calibrating', total=len(files))
            quantize(args.model, files, args.out, args.reduce_range,
                     lambda: progress.advance(task))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, of '
          f'{args.model.stat().st_size / 1e6:.1f}')
    return 0

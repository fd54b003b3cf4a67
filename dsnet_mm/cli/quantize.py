"""``dsnet-mm quantize``: an exported file with the model behind the resizer in 8 bits."""
import argparse
from pathlib import Path

from dsnet_mm.deploy.export.precision import quantize
from dsnet_mm.deploy.runtime.images import pick_images

from rich.console import Console
from rich.progress import Progress

DESCRIPTION = """\
Writes a copy of an exported file whose model behind the resizer computes in 8 bits.

onnxruntime's static quantisation (QDQ) gives convolutions, matrix products and the operators
between them unsigned 8-bit activations, whose ranges are measured on IMAGES, and signed 8-bit
weights with a scale for each output channel. Resizing, normalisation, decoding, suppression and
scaling to the size of the input image stay in float32. "dsnet-mm evaluate" measures the loss.
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm quantize', description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy"')
    parser.add_argument('images', type=Path, metavar='IMAGES',
                        help='folder of images on which the ranges of activations are measured')
    parser.add_argument('out', type=Path, metavar='OUT.onnx', help='the new file')
    parser.add_argument('--number', type=int, default=100,
                        help='largest number of images to use (default: %(default)s)')
    parser.add_argument('--reduce-range', action='store_true',
                        help='7-bit weights, for x86 processors without VNNI instructions, where '
                        'sums of 8-bit products overflow')
    args = parser.parse_args(arguments)
    if args.number < 1:
        parser.error(f'--number must be positive, got {args.number}')
    return args


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm quantize``, and returns the exit status."""
    args = parse_args(arguments)
    try:
        files = pick_images(args.images, args.number)
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task('Calibrating', total=len(files))
            quantize(args.model, files, args.out, args.reduce_range,
                     lambda: progress.advance(task))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, of '
          f'{args.model.stat().st_size / 1e6:.1f}')
    return 0

"""``dsnet-mm quantize``: an exported file with the model behind the resizer in 8 bits."""
import argparse
from pathlib import Path

from dsnet_mm.deploy.export.images import pick
from dsnet_mm.deploy.export.quantize import quantize

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

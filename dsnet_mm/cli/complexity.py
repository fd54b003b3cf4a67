"""Prints the parameters and multiply-adds of models at their low resolution, as Markdown.

Multiply-adds are what mmengine's analysis counts for one image: convolutions, matrix products,
normalisation, pooling and upsampling. A second stage is counted on as many proposals as it has at
test; anchors, decoding and suppression are not counted. The upsampling of a GuidedHead belongs to
the model. The config's resizer is counted apart, and so is DownsizeNetV2 in its place.
"""
import argparse
import logging
from pathlib import Path

from dsnet_mm.benchmarking.complexity import CONFIGS, PIPELINES, row


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm complexity``, and returns the exit status."""
    parser = argparse.ArgumentParser(
        'dsnet-mm complexity', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='default: the seven pipelines of the paper')
    parser.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'),
                        help='size of the image before it is resized (default: 300 300)')
    args = parser.parse_args(arguments)
    if args.size and not args.config:
        parser.error('--size goes with a config: the seven pipelines have sizes of their own')
    logging.disable(logging.WARNING)
    print('| pipeline | at | parameters | multiply-adds | with its resizer | more '
          '| with DownsizeNetV2 | more |\n|---|---|---|---|---|---|---|---|')
    if args.config:
        print(row(Path(args.config).stem, args.config, tuple(args.size or (300, 300))))
        return 0
    for name, (path, size) in PIPELINES.items():
        print(row(name, CONFIGS / path, size), flush=True)
    return 0

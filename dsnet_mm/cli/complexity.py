"""Prints the parameters and multiply-adds of models at the size of their resized images, as
Markdown.

Multiply-adds are what mmengine's analysis counts for one image: convolutions, matrix products,
normalisation, pooling and upsampling, with the number of proposals at test for a second stage, and
without anchors, decoding and suppression. The upsampling of a GuidedHead belongs to the model. The
multiply-adds of the config's resizer, and of DownsizeNetV2 in its place, are counted separately.
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
                        help='size of the input image (default: 300 300)')
    args = parser.parse_args(arguments)
    if args.size and not args.config:
        parser.error('--size needs a config: the seven pipelines have their own sizes')
    logging.disable(logging.WARNING)
    print('| pipeline | at | parameters | multiply-adds | with its resizer | more '
          '| with DownsizeNetV2 | more |\n|---|---|---|---|---|---|---|---|')
    if args.config:
        print(row(Path(args.config).stem, args.config, tuple(args.size or (300, 300))))
        return 0
    for name, (path, size) in PIPELINES.items():
        print(row(name, CONFIGS / path, size), flush=True)
    return 0

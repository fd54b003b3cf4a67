"""Saves the trained resizer of a model's checkpoint as a safetensors file of a few kilobytes.

``DownsizeNetV2.from_pretrained(FILE)`` (or ``DownsizeNet``) builds it again, and so does
``resizer=dict(weights=FILE)`` in any config. With ``--upsampling`` it saves that of a guided head:
``GuidedUpsampling.from_pretrained(FILE)``, ``decode_head=dict(upsampling=dict(weights=FILE))``.
"""
import argparse
from pathlib import Path

from dsnet_mm.config import load_config, scope_of
from dsnet_mm.engine.loading import is_guided, load_resizer, load_upsampling
from dsnet_mm.files import atomic_write
from dsnet_mm.resizers import ConvexResizer, pretrained

from mmengine.config import DictAction
from torch import nn


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm publish', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='the one that the model was trained with')
    parser.add_argument('checkpoint', help='of the whole model')
    parser.add_argument('out', type=Path, metavar='OUT.safetensors')
    parser.add_argument('--upsampling', action='store_true',
                        help="the upsampling of the model's GuidedHead instead of the resizer")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings that were overridden in the training')
    args = parser.parse_args(arguments)
    if args.out.suffix != '.safetensors':
        parser.error(f'a trained resizer is a .safetensors file, got {args.out}')
    return args


def publish(args: argparse.Namespace) -> None:
    """Writes the file of the resizer, or of the upsampling."""
    cfg = load_config(args.config, args.cfg_options)
    net: nn.Module
    if args.upsampling:
        head = cfg.model.get('decode_head')
        if not is_guided(head, scope_of(cfg)):
            raise ValueError(f'{args.config} has no guided head with an upsampling to publish')
        config = head.get('upsampling') or {}
        net = load_upsampling(head, args.checkpoint)
    else:
        config = (cfg.model.get('data_preprocessor') or {}).get('resizer') or {}
        net = load_resizer(config, args.checkpoint)
        if not isinstance(net, ConvexResizer):
            raise ValueError(f'{args.config} has a {type(net).__name__}: only a DownsizeNet or '
                             'DownsizeNetV2 is published')
    network_arguments = {key: value for key, value in pretrained.complete(config).items()
                         if key not in ('type', 'init_cfg', 'weights')}
    # safetensors' own save_file() would make a file that nobody else may read.
    with atomic_write(args.out) as unfinished:
        unfinished.write_bytes(pretrained.to_bytes(net, network_arguments))


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm publish``, and returns the exit status."""
    args = parse_args(arguments)
    try:
        publish(args)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(args.out)
    return 0

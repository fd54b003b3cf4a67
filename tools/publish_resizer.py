"""Takes the trained resizer out of a model's checkpoint: a safetensors file of a few kilobytes.

``DownsizeNet.from_pretrained(FILE)`` (or ``DownsizeNetV2``) builds it again, and so does
``resizer=dict(weights=FILE)`` in any config. With ``--upsampling`` it is that of a guided head:
``GuidedUpsampling.from_pretrained(FILE)``, ``decode_head=dict(upsampling=dict(weights=FILE))``.
"""
import argparse
from pathlib import Path

from dsnet_mm.config import load_config, scope_of
from dsnet_mm.resizers import ConvexResizer, pretrained

from checkpoints import is_guided, load_resizer, load_upsampling
from mmengine.config import DictAction


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='the one that the model was trained with')
    parser.add_argument('checkpoint', help='of the whole model')
    parser.add_argument('out', type=Path, metavar='OUT.safetensors')
    parser.add_argument('--upsampling', action='store_true',
                        help="the upsampling of the model's GuidedHead instead of the resizer")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings that were overridden in the training')
    args = parser.parse_args()
    if args.out.suffix != '.safetensors':
        parser.error(f'a trained resizer is a .safetensors file, got {args.out}')
    return args


def network_arguments(resizer: dict) -> dict:
    """The arguments of the network in a resizer's config, with those that its weights bring."""
    return {key: value for key, value in pretrained.complete(resizer).items()
            if key not in ('type', 'init_cfg', 'weights')}


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if args.upsampling:
        head = cfg.model.get('decode_head')
        if not is_guided(head, scope_of(cfg)):
            raise SystemExit(f'{args.config} has no guided head, whose upsampling could be '
                             'published')
        upsampling = load_upsampling(head, args.checkpoint)
        pretrained.save(upsampling, args.out, network_arguments(head.get('upsampling') or {}))
        print(args.out)
        return
    resizer = (cfg.model.get('data_preprocessor') or {}).get('resizer') or {}
    net = load_resizer(resizer, args.checkpoint)
    if not isinstance(net, ConvexResizer):
        raise SystemExit(f'{args.config} has a {type(net).__name__}: only a DownsizeNet or '
                         'DownsizeNetV2 is published')
    pretrained.save(net, args.out, network_arguments(resizer))
    print(args.out)


if __name__ == '__main__':
    main()

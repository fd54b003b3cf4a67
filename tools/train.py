"""Trains an mmdet or mmseg model, with or without a resizer in front of it."""
import argparse

from dsnet_mm.config import resolve
from dsnet_mm.engine.checkpoints import latest_checkpoint
from dsnet_mm.engine.training import out_of_memory_explained, safeguard
from dsnet_mm.files import check_file

from arguments import make_config, make_parser
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, RUNNERS
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = make_parser('Train a detector or a segmenter')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the batch size')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='resume from a checkpoint (default: the latest in the work dir)')
    return parser.parse_args()


def apply(args: argparse.Namespace, cfg: Config) -> None:
    if args.amp:
        kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if resolve(kind, OPTIM_WRAPPERS) not in (OptimWrapper, AmpOptimWrapper):
            raise SystemExit(f'--amp needs an OptimWrapper, but the config has {kind}')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        auto = args.resume == 'auto'
        checkpoint = latest_checkpoint(cfg.work_dir) if auto else args.resume
        if checkpoint is not None:
            cfg.resume, cfg.load_from = True, checkpoint
        else:
            print(f'There is no checkpoint in {cfg.work_dir} yet: the training starts anew.')
    if cfg.get('load_from'):
        check_file(cfg.load_from)
    safeguard(cfg)


def main() -> None:
    args = parse_args()
    cfg = make_config(args)
    try:
        apply(args, cfg)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    with out_of_memory_explained():
        runner.train()


if __name__ == '__main__':
    main()

"""Evaluates a trained mmdet or mmseg model, with or without a resizer in front of it."""
import argparse

from dsnet_mm.config import scope_of
from dsnet_mm.engine.training import safeguard
from dsnet_mm.files import check_file

from arguments import make_config, make_parser
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = make_parser('Test a detector or a segmenter')
    parser.add_argument('checkpoint')
    parser.add_argument('--out', help='for predictions: a .pkl file (mmdet) or a folder (mmseg)')
    parser.add_argument('--show-dir', help='folder for images with the predictions drawn')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    return parser.parse_args()


def apply(args: argparse.Namespace, cfg: Config) -> None:
    cfg.load_from = args.checkpoint
    safeguard(cfg)
    is_mmseg = scope_of(cfg) == 'mmseg'
    if args.show_dir:
        hook = cfg.default_hooks.get('visualization')
        if hook is None:
            raise SystemExit('--show-dir needs default_hooks.visualization in the config')
        hook.draw = True
        if is_mmseg:
            cfg.visualizer.save_dir = args.show_dir
        else:
            hook.test_out_dir = args.show_dir
    if args.out and is_mmseg:
        cfg.test_evaluator.update(output_dir=args.out, keep_results=True)
    elif args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise SystemExit(f'--out takes a .pkl file for a detector, got {args.out}')
    if args.tta:
        for key in ('tta_model', 'tta_pipeline'):
            if key not in cfg:
                raise SystemExit(f'--tta needs {key} in the config')
        cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    check_file(args.checkpoint)


def main() -> None:
    args = parse_args()
    cfg = make_config(args)
    try:
        apply(args, cfg)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out and scope_of(cfg) != 'mmseg':
        from mmdet.evaluation import DumpDetResults
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main()

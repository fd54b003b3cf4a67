"""Trains several variants of a config with several seeds, and compares their metrics.

A variant is a resizer in front of the model, or other options of the config. With --sizes all
variants are compared at several sizes of the resized image.

Writes results.json, report.md and report.html to the work dir (docs/compare.md describes them).
Started again, it keeps finished trainings and resumes the others.
"""
import argparse
import shlex
import sys
from pathlib import Path

from dsnet_mm.comparison.collect import collect, collect_curve
from dsnet_mm.comparison.plan import HIGH_RES, Comparison, at_size, check_config, main_metric, plan
from dsnet_mm.comparison.report import summary_table, write_reports
from dsnet_mm.comparison.results import Curve, Results, read
from dsnet_mm.comparison.runs import locked, run_all
from dsnet_mm.config import RESIZER, load_config
from dsnet_mm.variants import VARIANTS, parse_variant

import torch
from mmengine.config import DictAction
from rich.console import Console


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm compare', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f'variants: {", ".join(VARIANTS)},\n'
        '"name={\'type\': \'DownsizeNet\', ...}" for another resizer, or\n'
        '"name={\'model.neck.type\': \'dsnet_mm.DownsizeFPN\'}" for options of the config')
    parser.add_argument('config', nargs='?', help="a config with a preprocessor of this package: a "
                        'path, mmdet::... or mmseg::..., with --cfg-options where these set it')
    parser.add_argument('--variants', nargs='+', default=['bilinear', 'downsizenet-v2'],
                        metavar='VARIANT', help='what to compare; the others with the first')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--sizes', nargs='+', type=float, metavar='SIZE',
                        help='compare at each of these sizes: scales below 1, or pixels')
    parser.add_argument('--work-dir', type=Path, help='folder for runs and reports '
                        '(default: work_dirs/compare/<name of the config>)')
    parser.add_argument('--jobs', type=int, default=1,
                        help='trainings at the same time, one CPU thread each')
    parser.add_argument('--high-res', action='store_true',
                        help='also the model on the input image, without a resizer')
    parser.add_argument('--train', choices=['model', 'resizer'], default='model',
                        help='resizer: with the model of --from frozen, train only the resizer and '
                        'guided upsampling')
    parser.add_argument('--finetune', action='store_true',
                        help='fine-tune the model of --from together with the resizer')
    parser.add_argument('--from', dest='checkpoint', metavar='CHECKPOINT',
                        help='a trained model, with or without a resizer; {seed} in it stands for '
                        'the seed of the run')
    parser.add_argument('--metric', help='the value to compare, as the log of a validation names '
                        'it (default: pascal_voc/mAP, coco/bbox_mAP or mIoU)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override; data_root=DIR moves every data set')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none',
                        help='pytorch: every training on all GPUs')
    parser.add_argument('--fresh', action='store_true', help='start over')
    parser.add_argument('--report-only', type=Path, metavar='DIR',
                        help='rewrite the reports in DIR from its results.json')
    args = parser.parse_args(arguments)
    args.command = shlex.join(['dsnet-mm', 'compare',
                               *(sys.argv[1:] if arguments is None else arguments)])
    args.mode = 'finetune' if args.finetune else 'resizer' if args.train == 'resizer' else 'train'
    if args.report_only is None and args.config is None:
        parser.error('name a config, or --report-only DIR')
    if (args.mode == 'train') != (args.checkpoint is None):
        parser.error('--train resizer and --finetune need --from CHECKPOINT, and it needs one of '
                     'them')
    if args.train == 'resizer' and args.finetune:
        parser.error('--train resizer freezes the model, --finetune trains it: choose one')
    if len(set(args.seeds)) < len(args.seeds):
        parser.error(f'the seeds must differ, got {args.seeds}')
    if args.sizes is not None:
        _check_sizes(parser, args)
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        parser.error('--launcher pytorch needs GPUs, and PyTorch finds none: leave it out')
    if args.jobs < 1:
        parser.error(f'--jobs must be positive, got {args.jobs}')
    return args


def _check_sizes(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    are_scales = all(0 < size < 1 for size in args.sizes)
    are_pixels = all(size > 1 and size.is_integer() for size in args.sizes)
    if not (are_scales or are_pixels) or len(set(args.sizes)) < max(2, len(args.sizes)):
        parser.error('--sizes takes two or more different scales between 0 and 1, or whole numbers '
                     f'of pixels above 1, got {" ".join(f"{size:g}" for size in args.sizes)}')
    if args.high_res:
        parser.error('--high-res is the same at all --sizes: give it without --sizes')
    args.sizes.sort()


def parse_variants(texts: list[str], high_res: bool) -> dict[str, dict]:
    """The options that each variant sets in the config, by its name.

    Raises:
        ValueError: If one is unknown, or a name is given twice.
    """
    variants: dict[str, dict] = {}
    for name, options in map(parse_variant, texts):
        if name in variants or name == HIGH_RES:
            raise ValueError(f'two variants are named {name!r}: give each another name')
        variants[name] = options
    if high_res:
        variants[HIGH_RES] = {RESIZER: dict(type='FixedResizer', mode='bilinear')}
    return variants


def prepare(args: argparse.Namespace) -> list[Comparison]:
    """Writes the configs of all runs: a comparison for each size, or one at the config's own.

    Raises:
        ValueError: If anything about the arguments or the config is wrong.
        FileNotFoundError: If the checkpoint is missing.
    """
    variants = parse_variants(args.variants, args.high_res)
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg)
    if args.checkpoint is not None:
        for seed in args.seeds:
            checkpoint = Path(args.checkpoint.replace('{seed}', str(seed)))
            if not checkpoint.is_file():
                raise FileNotFoundError(f'--from: there is no file {checkpoint}')
        cfg.load_from = str(Path(args.checkpoint).resolve())
    if args.work_dir is None:
        args.work_dir = Path('work_dirs/compare') / Path(args.config.split('::')[-1]).stem
    metric = args.metric or main_metric(cfg)
    sized = [(cfg, args.work_dir, '')] if args.sizes is None else [
        (at_size(cfg, size), args.work_dir / f'size-{size:g}', f'size {size:g}')
        for size in args.sizes]
    comparisons = [
        Comparison(cfg, plan(cfg, variants, args.seeds, folder.resolve(), args.mode, metric, note),
                   metric, folder) for cfg, folder, note in sized]
    runs = [run for comparison in comparisons for run in comparison.runs]
    if args.fresh:
        for folder in {args.work_dir, *(comparison.folder for comparison in comparisons)}:
            (folder / 'results.json').unlink(missing_ok=True)
        for run in runs:
            run.clear()
    for run in runs:
        run.check()
    for run in runs:
        run.prepare()
    return comparisons


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm compare``, and returns the exit status: 1 if a training failed."""
    args = parse_args(arguments)
    try:
        if args.report_only is not None:
            show(read(args.report_only), args.report_only)
            return 0
        return compare(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit('\nInterrupted. The same command resumes it.') from None


def compare(args: argparse.Namespace) -> int:
    """Trains and evaluates what is not finished, and shows the results."""
    comparisons = prepare(args)
    runs = [run for comparison in comparisons for run in comparison.runs]
    with locked(args.work_dir) as lock:
        failed = run_all(runs, args.jobs, args.launcher, torch.cuda.device_count(), lock)
    for run in failed:
        print(f'\n{run} failed:\n{run.end_of_log()}\n(the whole log: {run.log})', file=sys.stderr)
    if not all(any(run.finished for run in comparison.runs) for comparison in comparisons):
        return 1
    results = [collect(comparison, config=args.config, mode=args.mode, command=args.command,
                       checkpoint=args.checkpoint) for comparison in comparisons]
    found: Results | Curve = results[0]
    if args.sizes is not None:
        for comparison, result in zip(comparisons, results):
            write_reports(result, comparison.folder)
        found = collect_curve(args.sizes, comparisons, results, args.work_dir)
    show(found, args.work_dir)
    print(f'Reports: {args.work_dir}/report.html, {args.work_dir}/report.md; '
          f'numbers: {args.work_dir}/results.json')
    return 1 if failed else 0


def show(results: Results | Curve, folder: Path) -> None:
    """Writes the reports into a work dir, and prints the main table."""
    write_reports(results, folder)
    Console().print(summary_table(results))

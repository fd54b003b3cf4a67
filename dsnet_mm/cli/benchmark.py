"""Times resizers alone, in front of the paper's pipelines or of a config's model, guided
upsampling, or exported files, in turns.

Prints a table, and writes it as Markdown, a plot and, with --json, the numbers.
"""
import argparse
import json
import platform
from functools import partial
from pathlib import Path

from dsnet_mm.benchmarking import pipelines, report, resizers, upsampling
from dsnet_mm.benchmarking.complexity import CONFIGS, PIPELINES

import torch
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import Progress


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm benchmark', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['resizers', 'pipelines', 'upsampling', 'files'],
                        help='resizers alone, or in front of the pipelines; upsampling: from '
                        'logits at low resolution to labels; files: of "dsnet-mm export deploy", '
                        'in onnxruntime and, if it is installed, OpenVINO')
    parser.add_argument('files', nargs='*', type=Path, metavar='model.onnx')
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1 (default: cpu)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(),
                        help='CPU threads (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=11,
                        help='measurements of each (default: %(default)s)')
    parser.add_argument('--quick', action='store_true',
                        help='three rounds; resizers without the largest images')
    parser.add_argument('--pipelines', nargs='+', choices=PIPELINES, default=list(PIPELINES),
                        metavar='NAME', help=f'some of {", ".join(PIPELINES)} (default: all)')
    parser.add_argument('--config', help='with pipelines: the model of this config, which has a '
                        "Downsize... preprocessor, instead of the paper's models")
    parser.add_argument('--size', nargs=2, type=int, default=(300, 300), metavar=('H', 'W'),
                        help='with --config: size of the input image (default: 300 300)')
    parser.add_argument('--images', type=Path, metavar='DIR',
                        help='with files: time them on eight images of this folder')
    parser.add_argument('--pytorch', nargs=2, action='append', default=[],
                        metavar=('CONFIG', 'CHECKPOINT'), help='with files: also time this model '
                        'in PyTorch; may be given several times')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the rows there')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'), metavar='DIR',
                        help='folder for Markdown and plot (default: %(default)s)')
    args = parser.parse_intermixed_args(arguments)
    if args.rounds < 1 or args.threads < 1:
        parser.error('--rounds and --threads must be positive')
    if args.device != 'cpu' and not torch.cuda.is_available():
        parser.error(f'--device {args.device}: PyTorch finds no GPU')
    if args.what == 'files':
        if not args.files or args.images is None or args.device != 'cpu':
            parser.error('mode `files` needs paths of files and --images DIR, and runs on the CPU')
    elif args.files or args.images or args.pytorch:
        parser.error(f'paths of files, --images and --pytorch need mode `files`, got {args.what}')
    if args.config is not None and args.what != 'pipelines':
        parser.error(f'--config needs mode `pipelines`, got {args.what}')
    if min(args.size) < 1:
        parser.error(f'--size must be positive, got {args.size}')
    if args.quick:
        args.rounds = 3
    return args


def write(args: argparse.Namespace, rows: list[dict], text: str) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f'{args.what}.md').write_text(text, encoding='utf-8')
    report.plot(rows).savefig(args.out / f'{args.what}.png', dpi=130)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm benchmark``, and returns the exit status."""
    args = parse_args(arguments)
    device = torch.device(args.device)
    MMLogger.get_current_instance().setLevel('ERROR')
    settings = args.rounds, args.threads, device
    if args.what == 'resizers':
        measure = partial(resizers.measure, args.quick, *settings)
        total = resizers.measurements(args.quick, args.rounds)
    elif args.what == 'upsampling':
        measure = partial(upsampling.measure, *settings)
        total = upsampling.measurements(args.rounds)
    elif args.what == 'files':
        from dsnet_mm.benchmarking import files  # which needs onnxruntime
        measure = partial(files.measure, args.files, args.pytorch, args.images, args.rounds,
                          args.threads)
        total = files.measurements(args.files, args.pytorch, args.rounds)
    else:
        models: pipelines.Models
        if args.config is not None:
            models = {Path(args.config).stem: (args.config, tuple(args.size))}
        else:
            models = {name: (CONFIGS / path, size) for name, (path, size) in PIPELINES.items()
                      if name in args.pipelines}
        measure = partial(pipelines.measure, models, *settings)
        total = pipelines.measurements(models, args.rounds)
    machine = (f'{platform.machine()}, {torch.cuda.get_device_name(device)}'
               if device.type == 'cuda' else f'{platform.machine()}, {args.threads} threads')
    rows: list[dict] = []
    try:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(f'Timing {args.what}', total=total)
            for group in measure(lambda: progress.advance(task)):
                rows += group
                # After each group, so that an interruption loses only one.
                text = (f'Median of {args.rounds} rounds in turns; {machine}; '
                        f'PyTorch {torch.__version__}.\n\n{report.markdown(rows)}\n')
                write(args, rows, text)
    except (OSError, ValueError) as error:
        if args.what != 'files' and args.config is None:
            raise
        raise SystemExit(str(error)) from error
    print(text)
    return 0

"""``dsnet-mm evaluate``: the metrics of exported files."""
import argparse
from functools import partial
from pathlib import Path
from typing import Any

from dsnet_mm.config import load_config
from dsnet_mm.deploy.evaluation import build_dataset, evaluate
from dsnet_mm.deploy.runtime.session import Session

from mmengine.config import DictAction
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import Progress


def table(metrics: dict[Path, dict[str, Any]], sessions: dict[Path, Session]) -> str:
    """A table in Markdown with a row for each file."""
    names = list(dict.fromkeys(name for each in metrics.values() for name in each))
    lines = [['file', 'MB', 'precision', *names], ['---'] * (3 + len(names))]
    for file, values in metrics.items():
        lines.append([str(file), f'{file.stat().st_size / 1e6:.1f}',
                      sessions[file].metadata.precision,
                      *(_cell(values.get(name)) for name in names)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, (int, float)) else str(value)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm evaluate', description='Runs exported files on the test data of a config, and '
        'prints its metrics and the size of each file (MB: 10**6 bytes) as a Markdown table.')
    parser.add_argument('config', help='the config with which the files were exported')
    parser.add_argument('files', nargs='+', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy" or "dsnet-mm quantize"')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override')
    parser.add_argument('--threads', type=int, default=0,
                        help='of onnxruntime (default: one per core)')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm evaluate``, and returns the exit status."""
    args = parse_args(arguments)
    MMLogger.get_current_instance().setLevel('ERROR')
    metrics: dict[Path, dict[str, Any]] = {}
    sessions: dict[Path, Session] = {}
    try:
        cfg = load_config(args.config, args.cfg_options)
        sessions = {file: Session(file, args.threads) for file in args.files}
        dataset = build_dataset(cfg)
        with Progress(console=Console(stderr=True)) as progress:
            for file, session in sessions.items():
                task = progress.add_task(file.name, total=len(dataset))
                metrics[file] = evaluate(session, cfg, dataset, partial(progress.advance, task))
    except (OSError, ValueError) as error:
        if metrics:  # of the files before
            print(table(metrics, sessions))
        raise SystemExit(str(error)) from error
    print(table(metrics, sessions))
    return 0

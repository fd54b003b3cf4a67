"""Measures exported files as the test of their config does."""
import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dsnet_mm.config import in_scope, load_config, scope_of
from dsnet_mm.deploy.export.graph import test_pipeline
from dsnet_mm.deploy.runtime.images import read_image
from dsnet_mm.deploy.runtime.session import Session

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from rich.console import Console
from rich.progress import Progress


def evaluate(session: Session, cfg: Config, dataset: BaseDataset,
             done: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The metrics of ``tools/test.py``, of what a file predicts.

    Args:
        session (Session): The file.
        cfg (Config): Its ``test_evaluator`` measures.
        dataset (BaseDataset): Of :func:`build_dataset`.
        done (Callable): Called after each image.

    Raises:
        OSError: If an image cannot be read.
        ValueError: If the classes of the file are not those of the data.
    """
    classes = dataset.metainfo.get('classes') or ()
    classes = [classes] if isinstance(classes, str) else list(classes)
    if session.metadata.classes != classes:
        raise ValueError(f'the file knows the classes {session.metadata.classes}, the test data '
                         f'have {classes}: give the config that it was exported with')
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for place in range(len(dataset)):
            data = dataset[place]
            sample = data['data_samples']
            predict(session, read_image(Path(sample.img_path)), sample)
            evaluator.process([sample], data)
            done()
        return evaluator.evaluate(len(dataset))


def predict(session: Session, image: np.ndarray, sample: BaseDataElement) -> None:
    """Puts what a file finds in an image (H, W, 3) into its data sample, as the model would."""
    found = {name: torch.from_numpy(value) for name, value in session(image).items()}
    if session.metadata.task == 'segmentation':
        sample.pred_sem_seg = PixelData(data=found['labels'].long()[None])
    else:
        sample.pred_instances = InstanceData(
            bboxes=found['boxes'], scores=found['scores'], labels=found['labels'])


def build_dataset(cfg: Config) -> BaseDataset:
    """The data set of a config's test.

    Raises:
        CannotExport: If it has none.
    """
    test_pipeline(cfg)  # there is one
    with in_scope(cfg, DATASETS) as registry:
        return registry.build(cfg.test_dataloader.dataset)


def table(found: dict[Path, tuple[Session, dict[str, Any]]]) -> str:
    """Markdown, with a line for each file."""
    names = list(dict.fromkeys(name for _, metrics in found.values() for name in metrics))
    lines = [['file', 'MB', 'precision', *names], ['---'] * (3 + len(names))]
    for file, (session, metrics) in found.items():
        lines.append([str(file), f'{file.stat().st_size / 1e6:.1f}', session.metadata.precision,
                      *(_cell(metrics.get(name)) for name in names)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, (int, float)) else str(value)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        'dsnet-mm evaluate', description='Runs exported files on the test data of a config, and '
        'prints its metrics and the size of each file (MB: 10**6 bytes) as Markdown.')
    parser.add_argument('config', help='the one that the files were exported with')
    parser.add_argument('files', nargs='+', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy" or "dsnet-mm quantize"')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override')
    parser.add_argument('--threads', type=int, default=0, help='of onnxruntime (default: cores)')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs ``dsnet-mm evaluate``, and returns the exit status."""
    args = parse_args(arguments)
    MMLogger.get_current_instance().setLevel('ERROR')
    found: dict[Path, tuple[Session, dict[str, Any]]] = {}
    try:
        cfg = load_config(args.config, args.cfg_options)
        sessions = {file: Session(file, args.threads) for file in args.files}
        dataset = build_dataset(cfg)
        with Progress(console=Console(stderr=True)) as progress:
            for file, session in sessions.items():
                task = progress.add_task(file.name, total=len(dataset))
                found[file] = session, evaluate(session, cfg, dataset,
                                                partial(progress.advance, task))
    except (OSError, ValueError) as error:
        if found:
            print(table(found))
        raise SystemExit(str(error)) from error
    print(table(found))
    return 0

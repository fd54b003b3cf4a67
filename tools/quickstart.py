"""Trains a small CenterNet on the built-in data set behind bilinear and behind DownsizeNet.

Writes the comparison to work_dirs/quickstart: results.md, results.json and picture.png. What a
former run has finished is kept, what it has begun is resumed.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import dsnet_mm  # noqa: F401  (mmcv's operators, before anything asks for them)

import matplotlib.pyplot as plt
import torch
from make_dataset import make_dataset
from mmdet.apis import init_detector
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/mini/centernet_textures.py'
DATA = ROOT / 'data/textures'
METRIC = 'pascal_voc/mAP'
TRAIN_IMAGES, VAL_IMAGES = 600, 100
ARMS = {'bilinear': dict(type='FixedResizer', mode='bilinear'),
        'downsizenet': dict(type='DownsizeNet')}


class Run:
    """One training: an arm and a seed."""

    def __init__(self, arm: str, seed: int, out: Path) -> None:
        self.arm, self.seed = arm, seed
        self.folder = out / f'{arm}-seed{seed}'
        self.log = self.folder / 'output.log'
        self.process: subprocess.Popen | None = None

    @property
    def resizer(self) -> dict:
        return ARMS[self.arm]

    @property
    def checkpoint(self) -> Path:
        return self.folder / (self.folder / 'last_checkpoint').read_text().rsplit('/')[-1]

    def records(self) -> list[dict]:
        """What mmengine logged as numbers, over all resumptions."""
        files = sorted(self.folder.glob('*/vis_data/scalars.json'))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def metric(self) -> float | None:
        """The metric of the last epoch, once training is finished."""
        return next((r[METRIC] for r in reversed(self.records()) if METRIC in r), None)

    def epoch(self) -> float:
        return max((r['epoch'] for r in self.records() if 'epoch' in r), default=0)

    def start(self) -> None:
        if self.epoch() >= Config.fromfile(CONFIG).train_cfg.max_epochs:
            # Interrupted in its last validation, which mmengine would not make up for.
            self.clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [f'model.data_preprocessor.resizer.{k}={v}' for k, v in self.resizer.items()]
        command = [sys.executable, str(ROOT / 'tools/train.py'), str(CONFIG), '--resume',
                   '--work-dir', str(self.folder), '--cfg-options', *options,
                   f'randomness.seed={self.seed}']
        # One thread each: two runs side by side beat one with two threads. The other settings
        # keep glibc from handing big blocks back to the system after every operation.
        environment = dict(os.environ, OMP_NUM_THREADS='1',
                           MALLOC_MMAP_THRESHOLD_='1000000000',
                           MALLOC_TRIM_THRESHOLD_='4000000000')
        with self.log.open('a') as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log,
                                            stderr=subprocess.STDOUT)

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self) -> bool:
        """Whether it is finished.

        Raises:
            RuntimeError: If it failed.
        """
        code = self.process.poll()
        if code:
            tail = '\n'.join(self.log.read_text().splitlines()[-20:])
            raise RuntimeError(f'{self.folder.name} failed:\n{tail}\n(the whole log: {self.log})')
        return code == 0


def train(runs: list[Run], jobs: int) -> None:
    """Trains what is not finished, a few at a time."""
    waiting = [run for run in runs if run.metric() is None]
    epochs = Config.fromfile(CONFIG).train_cfg.max_epochs
    running: list[Run] = []
    columns = TextColumn('{task.description}'), BarColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        tasks = {run: progress.add_task(run.folder.name, total=epochs) for run in waiting}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(waiting.pop(0))
                    running[-1].start()
                time.sleep(1)
                for run in list(running):
                    progress.update(tasks[run], completed=run.epoch())
                    if run.check():
                        running.remove(run)
        finally:
            for run in running:
                run.process.terminate()


def load(run: Run) -> torch.nn.Module:
    cfg = Config.fromfile(CONFIG)
    cfg.model.data_preprocessor.resizer = run.resizer
    return init_detector(cfg, str(run.checkpoint), device='cpu', palette='random')


def milliseconds(models: list[torch.nn.Module], samples: list[dict]) -> list[float]:
    """Median time per image of each model, on one thread, taking turns."""
    torch.set_num_threads(1)
    times: list[list[float]] = [[] for _ in models]
    with torch.no_grad():
        for sample in samples[:3] + samples:  # the first three warm up
            batch = pseudo_collate([sample])
            for model, record in zip(models, times):
                start = time.perf_counter()
                model.test_step(batch)
                record.append(1000 * (time.perf_counter() - start))
    return [statistics.median(record[3:]) for record in times]


def summarize(runs: list[Run], samples: list[dict]) -> dict:
    """The results of every arm."""
    by_arm = {arm: [run for run in runs if run.arm == arm] for arm in ARMS}
    models = [load(arm_runs[0]) for arm_runs in by_arm.values()]
    results = {}
    for (arm, arm_runs), model, time_ in zip(by_arm.items(), models,
                                             milliseconds(models, samples)):
        values = [run.metric() for run in arm_runs]
        results[arm] = dict(
            seeds={str(run.seed): value for run, value in zip(arm_runs, values)},
            mean=statistics.mean(values),
            std=statistics.stdev(values) if len(values) > 1 else None,
            params=sum(p.numel() for p in model.parameters()),
            ms_per_image=round(time_, 2))
    return dict(config=os.path.relpath(CONFIG, ROOT), metric=METRIC, arms=results)


def rows(results: dict) -> list[list[str]]:
    def number(arm: dict) -> str:
        spread = '' if arm['std'] is None else f' ± {100 * arm["std"]:.1f}'
        return f'{100 * arm["mean"]:.1f}{spread}'

    return [['resizer', 'mAP at IoU 0.5', 'seeds', 'parameters', 'ms per image']] + [
        [name, number(arm), str(len(arm['seeds'])), f'{arm["params"]:,}',
         f'{arm["ms_per_image"]:.1f}'] for name, arm in results['arms'].items()]


def draw(runs: list[Run], sample: dict, path: Path) -> None:
    """One image at high resolution, and shrunk by either arm with its detections."""
    image = sample['inputs'].flip(0).permute(1, 2, 0).numpy() / 255  # BGR to RGB
    figure, axes = plt.subplots(1, 3, figsize=(13, 5), layout='constrained')
    axes[0].imshow(image)
    axes[0].set_title(f'{image.shape[1]}×{image.shape[0]}, with the objects')
    truth = sample['data_samples'].gt_instances
    first = {run.arm: run for run in reversed(runs)}
    panels = [(axes[0], truth.bboxes.tensor, truth.labels, None, (1, 1))]
    for axis, arm in zip(axes[1:], ARMS):
        model = load(first[arm])
        batch = pseudo_collate([sample])
        with torch.no_grad():
            result = model.test_step(batch)[0]
            small = model.data_preprocessor.resize(batch['inputs'])[0]
        axis.imshow(small.flip(0).permute(1, 2, 0).clamp(0, 255).numpy() / 255)
        axis.set_title(f'{small.shape[2]}×{small.shape[1]} by {arm}, with its detections')
        found = result.pred_instances[result.pred_instances.scores > 0.3]
        height, width = result.ori_shape
        panels.append((axis, found.bboxes, found.labels, found.scores,
                       (small.shape[2] / width, small.shape[1] / height)))
    classes = Config.fromfile(CONFIG).metainfo.classes
    for axis, boxes, labels, scores, (sx, sy) in panels:
        axis.set_axis_off()
        for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            color = f'C{int(labels[i])}'
            axis.add_patch(plt.Rectangle((x1 * sx, y1 * sy), (x2 - x1) * sx, (y2 - y1) * sy,
                                         fill=False, color=color, linewidth=2))
            score = '' if scores is None else f' {scores[i]:.2f}'
            axis.text(x1 * sx, y1 * sy, classes[int(labels[i])] + score, color='white',
                      fontsize=8, va='bottom', backgroundcolor=color)
    figure.savefig(path, dpi=100)


def report(results: dict, runs: list[Run], sample: dict, out: Path) -> None:
    header, *body = rows(results)
    lines = [' | '.join(row) for row in [header, ['---'] * len(header), *body]]
    (out / 'results.md').write_text('\n'.join(f'| {line} |' for line in lines) + '\n')
    draw(runs, sample, out / 'picture.png')
    # Last: its presence says that all is done.
    (out / 'results.json').write_text(json.dumps(results, indent=2) + '\n')


def show(results: dict, out: Path) -> None:
    header, *body = rows(results)
    table = Table(*header, title=f'{results["config"]}, 300×300 -> 160×160')
    for row in body:
        table.add_row(*row)
    Console().print(table)
    print(f'Table and picture: {out}/results.md, {out}/results.json, {out}/picture.png')


def prepare_data() -> None:
    """Makes the data set, or checks that what is there is it."""
    if not DATA.exists():
        make_dataset(DATA, train=TRAIN_IMAGES, val=VAL_IMAGES, seed=0)
    for part, number in (('train', TRAIN_IMAGES), ('val', VAL_IMAGES)):
        found = len((DATA / f'ImageSets/Main/{part}.txt').read_text().split())
        if found != number:
            raise SystemExit(f'{DATA} has {found} {part} images instead of {number}: it is not the '
                             "quickstart's data set; move it away")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--fresh', action='store_true', help='start over')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one training each')
    parser.add_argument('--jobs', type=int, default=min(2, os.cpu_count() or 1),
                        help='trainings side by side, one thread each')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/quickstart'))
    args = parser.parse_args()
    os.chdir(ROOT)
    args.out.mkdir(parents=True, exist_ok=True)
    runs = [Run(arm, seed, args.out.resolve()) for seed in args.seeds for arm in ARMS]
    done = args.out / 'results.json'
    if args.fresh:
        done.unlink(missing_ok=True)
        for run in runs:
            run.clear()
    prepare_data()
    results = json.loads(done.read_text()) if done.exists() else None
    if results is None or set(results['arms']['bilinear']['seeds']) != set(map(str, args.seeds)):
        try:
            train(runs, args.jobs)
        except RuntimeError as error:
            raise SystemExit(str(error)) from None
        register_all_modules()
        samples = list(DATASETS.build(Config.fromfile(CONFIG).val_dataloader.dataset))
        results = summarize(runs, samples)
        report(results, runs, samples[0], args.out)
    show(results, args.out)


if __name__ == '__main__':
    main()

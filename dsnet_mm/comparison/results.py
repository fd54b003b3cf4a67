"""From finished runs to the contents of results.json."""
import importlib
import json
import platform
from pathlib import Path

from comparison.gallery import write_gallery
from comparison.report import write_reports
from comparison.runs import Run, write_json
from comparison.statistics import paired, summarize
from comparison.trained import load_dataset, load_model, milliseconds, moved, sizes
from dsnet_mm.config import RESIZER, resizer_config, scope_of

import torch
from mmengine.config import Config

PACKAGES = ('dsnet_mm', 'torch', 'torchvision', 'mmcv', 'mmengine', 'mmdet', 'mmseg')


def collect(cfg: Config, runs: list[Run], metric: str, folder: Path, about: dict) -> dict:
    """Gathers what the runs found, measures their models, and writes results.json, a report and the
    pictures.

    Args:
        cfg (Config): What all runs share.
        runs (list[Run]): At least one of them finished.
        metric (str): Key of the metric to compare.
        folder (Path): Where results.json and the gallery go.
        about (dict): More entries of results.json.

    Raises:
        ValueError: If the evaluation gave no such metric.
    """
    finished: dict[str, list[Run]] = {run.arm: [] for run in runs}
    for run in runs:
        if run.result():
            finished[run.arm].append(run)
    dataset = load_dataset(cfg)
    first = {arm: load_model(of_arm[0]) for arm, of_arm in finished.items() if of_arm}
    times = dict(zip(first, milliseconds(list(first.values()), dataset)))
    arms = {}
    for arm, of_arm in finished.items():
        seeds = {str(run.seed): value(run, metric) for run in of_arm}
        mean, std = summarize(list(seeds.values()))
        run = next(run for run in runs if run.arm == arm)
        arms[arm] = dict(
            seeds=seeds, mean=mean, std=std, params=count(first.get(arm)),
            ms_per_image=times.get(arm),
            resizer=resizer_config(Config.fromfile(run.config_file)),
            options={key: value for key, value in run.options.items() if key != RESIZER},
            resizer_params=count(first[arm].data_preprocessor.resizer) if of_arm else None,
            moved=moved(of_arm, dataset))
    baseline = runs[0].arm
    results = dict(
        about, metric=metric, arms=arms,
        step='iteration' if 'max_iters' in cfg.train_cfg else 'epoch',
        unit='percent' if scope_of(cfg) == 'mmseg' or 'panoptic' in metric else 'fraction',
        paired={f'{arm}-{baseline}': paired(arms[arm]['seeds'], arms[baseline]['seeds'])
                for arm in arms if arm != baseline},
        classes=list(dataset.metainfo['classes']),
        sizes=sizes(next(iter(first.values())), dataset),
        runs=[dict(arm=run.arm, seed=run.seed, value=value(run, metric),
                   **{part: run.result()[part] for part in ('per_class', 'per_size', 'device')},
                   curve=run.curve(), wall_time_s=round(run.seconds(), 1))
              for of_arm in finished.values() for run in of_arm],
        failed=[dict(arm=run.arm, seed=run.seed, log=run.end_of_log())
                for run in runs if not run.result()],
        versions={name: importlib.import_module(name).__version__ for name in PACKAGES}
        | dict(python=platform.python_version()),
        machine=f'{platform.machine()}, {torch.get_num_threads()} thread',
        resolved_config=cfg.pretty_text)
    write_json(folder / 'results.json', results)
    # Last: what cannot be drawn loses nothing.
    write_reports(read(folder), folder)
    write_gallery(cfg, first, dataset, folder / 'gallery')
    return read(folder)


def read(folder: Path) -> dict:
    """The contents of results.json."""
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))


def up_to_date(runs: list[Run], metric: str, folder: Path) -> bool:
    """Whether results.json is of these runs, as they are now."""
    file = folder / 'results.json'
    if not file.exists() or not (folder / 'gallery/index.json').exists():
        return False
    results = read(folder)
    arms: dict[str, list[str]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(str(run.seed))
    there = {arm: list(values['seeds']) for arm, values in results['arms'].items()}
    return (results['metric'] == metric and list(there.items()) == list(arms.items())
            and all((run.folder / 'result.json').stat().st_mtime <= file.stat().st_mtime
                    for run in runs))


def value(run: Run, metric: str) -> float:
    """The metric of a finished run."""
    metrics = run.result()['metrics']
    if metric not in metrics:
        raise ValueError(f'the evaluation gave no {metric}: choose with --metric one of '
                         f'{", ".join(metrics)}')
    return metrics[metric]


def count(module: torch.nn.Module | None) -> int | None:
    """Parameters."""
    return None if module is None else sum(p.numel() for p in module.parameters())

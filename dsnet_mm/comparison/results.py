"""The contents of results.json, gathered from finished runs."""
import importlib
import json
import platform
from pathlib import Path

from dsnet_mm.comparison.gallery import write_gallery
from dsnet_mm.comparison.intervals import paired, summarize
from dsnet_mm.comparison.report import write_reports
from dsnet_mm.comparison.runs import Run, write_json
from dsnet_mm.comparison.trained import load_dataset, load_model, milliseconds, moved, sizes
from dsnet_mm.config import RESIZER, resizer_config, scope_of

import torch
from mmengine.config import Config

PACKAGES = ('dsnet_mm', 'torch', 'torchvision', 'mmcv', 'mmengine', 'mmdet', 'mmseg')


def collect(cfg: Config, runs: list[Run], metric: str, folder: Path, about: dict) -> dict:
    """Gathers the results of the runs, measures their models, and writes results.json, a report and
    pictures.

    Args:
        cfg (Config): The config that all runs share.
        runs (list[Run]): The runs, at least one of them finished.
        metric (str): Key of the metric to compare.
        folder (Path): Folder for results.json and the gallery.
        about (dict): More entries of results.json.

    Returns:
        dict: The contents of results.json.

    Raises:
        ValueError: If the evaluation gave no such metric.
    """
    finished: dict[str, list[Run]] = {run.variant: [] for run in runs}
    for run in runs:
        if run.result():
            finished[run.variant].append(run)
    dataset = load_dataset(cfg)
    first = {name: load_model(of_variant[0]) for name, of_variant in finished.items() if of_variant}
    times = dict(zip(first, milliseconds(list(first.values()), dataset)))
    variants: dict[str, dict] = {}
    for variant, of_variant in finished.items():
        seeds = {str(run.seed): value(run, metric) for run in of_variant}
        mean, std = summarize(list(seeds.values()))
        run = next(run for run in runs if run.variant == variant)
        variants[variant] = dict(
            seeds=seeds, mean=mean, std=std, params=count(first.get(variant)),
            ms_per_image=times.get(variant),
            resizer=resizer_config(Config.fromfile(run.config_file)),
            options={key: value for key, value in run.options.items() if key != RESIZER},
            resizer_params=count(first[variant].data_preprocessor.resizer) if of_variant else None,
            moved=moved(of_variant, dataset))
    baseline = runs[0].variant
    results = dict(
        about, metric=metric, arms=variants,
        step='iteration' if 'max_iters' in cfg.train_cfg else 'epoch',
        unit='percent' if scope_of(cfg) == 'mmseg' or 'panoptic' in metric else 'fraction',
        paired={f'{name}-{baseline}': paired(values['seeds'], variants[baseline]['seeds'])
                for name, values in variants.items() if name != baseline},
        classes=list(dataset.metainfo['classes']),
        sizes=sizes(next(iter(first.values())), dataset),
        runs=[dict(arm=run.variant, seed=run.seed, value=value(run, metric),
                   **{part: run.result()[part] for part in ('per_class', 'per_size', 'device')},
                   curve=run.curve(), wall_time_s=round(run.seconds(), 1))
              for of_variant in finished.values() for run in of_variant],
        failed=[dict(arm=run.variant, seed=run.seed, log=run.end_of_log())
                for run in runs if not run.result()],
        versions={name: importlib.import_module(name).__version__ for name in PACKAGES}
        | dict(python=platform.python_version()),
        machine=f'{platform.machine()}, {torch.get_num_threads()} thread',
        resolved_config=cfg.pretty_text)
    write_json(folder / 'results.json', results)
    # The pictures last: if they cannot be drawn, nothing else is lost.
    write_reports(read(folder), folder)
    write_gallery(cfg, first, dataset, folder / 'gallery')
    return read(folder)


def read(folder: Path) -> dict:
    """The contents of results.json."""
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))


def up_to_date(runs: list[Run], metric: str, folder: Path) -> bool:
    """Whether results.json holds the results of exactly these runs."""
    file = folder / 'results.json'
    if not file.exists() or not (folder / 'gallery/index.json').exists():
        return False
    results = read(folder)
    variants: dict[str, list[str]] = {}
    for run in runs:
        variants.setdefault(run.variant, []).append(str(run.seed))
    there = {variant: list(values['seeds']) for variant, values in results['arms'].items()}
    return (results['metric'] == metric and list(there.items()) == list(variants.items())
            and all((run.folder / 'result.json').stat().st_mtime <= file.stat().st_mtime
                    for run in runs))


def value(run: Run, metric: str) -> float:
    """The metric of a finished run.

    Raises:
        ValueError: If the evaluation gave no such metric.
    """
    metrics = run.result()['metrics']
    if metric not in metrics:
        raise ValueError(f'the evaluation gave no {metric}: choose with --metric one of '
                         f'{", ".join(metrics)}')
    return metrics[metric]


def count(module: torch.nn.Module | None) -> int | None:
    """The number of parameters of a module."""
    return None if module is None else sum(p.numel() for p in module.parameters())

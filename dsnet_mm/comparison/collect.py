"""Gathers the results of finished runs, and measures their models."""
import copy
import importlib
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsnet_mm.comparison.gallery import INDEX, write_gallery
from dsnet_mm.comparison.intervals import paired, summarize
from dsnet_mm.comparison.plan import Comparison, is_frozen
from dsnet_mm.comparison.report import write_reports
from dsnet_mm.comparison.results import (
    About,
    Curve,
    CurvePoint,
    Evaluation,
    FailedRun,
    Pixels,
    Results,
    RunResult,
    VariantResult,
    load,
    read,
    save,
)
from dsnet_mm.comparison.runs import Run
from dsnet_mm.config import RESIZER, build_model, in_scope, resizer_config, scope_of

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DATASETS
from mmengine.runner import load_checkpoint
from torch import nn

PACKAGES = ('dsnet_mm', 'torch', 'torchvision', 'mmcv', 'mmengine', 'mmdet', 'mmseg')


def collect(comparison: Comparison, *, config: str, mode: str, command: str,
            checkpoint: str | None) -> Results:
    """Gathers the results of the runs at one size, one or more finished, and measures their models.

    Writes results.json, the reports and the gallery, unless they are up to date. Raises ValueError
    if the evaluation gave no such metric.
    """
    cfg, runs, metric, folder = comparison
    if found := _up_to_date(comparison):
        return found
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    finished = {name: [run for run in of_variant if run.finished]
                for name, of_variant in by_variant.items()}
    results = [_run_result(run, metric) for of_variant in finished.values() for run in of_variant]
    dataset = load_dataset(cfg)
    models = {name: load_model(of_variant[0])
              for name, of_variant in finished.items() if of_variant}
    times = milliseconds(models, dataset)
    variants = {}
    for name, (run, *_) in by_variant.items():
        seeds = {str(result.seed): result.value for result in results if result.variant == name}
        model = models.get(name)
        variants[name] = VariantResult(
            seeds, *summarize(list(seeds.values())), params=_count(model),
            ms_per_image=times.get(name), resizer=resizer_config(Config.fromfile(run.config_file)),
            options={key: value for key, value in run.options.items() if key != RESIZER},
            resizer_params=_count(model and model.data_preprocessor.resizer),
            image_change=image_change(finished[name], dataset))
    first, *others = variants
    height, width = dataset[0]['inputs'].shape[-2:]
    output = next(iter(models.values())).data_preprocessor.output_size(height, width)
    collected = Results(
        config=config, mode=mode, command=command, checkpoint=checkpoint, metric=metric,
        variants=variants, runs=results,
        unit='percent' if scope_of(cfg) == 'mmseg' or 'panoptic' in metric else 'fraction',
        paired={f'{name}-{first}': paired(variants[name].seeds, variants[first].seeds)
                for name in others},
        step='iteration' if 'max_iters' in cfg.train_cfg else 'epoch',
        classes=list(dataset.metainfo['classes']), pixels=Pixels([height, width], list(output)),
        failed=[FailedRun(run.variant, run.seed, run.end_of_log())
                for run in runs if not run.finished],
        versions={name: importlib.import_module(name).__version__ for name in PACKAGES}
        | dict(python=platform.python_version()),
        machine=f'{platform.machine()}, {torch.get_num_threads()} thread',
        resolved_config=cfg.pretty_text)
    save(collected, folder / 'results.json')
    # The pictures last: if they cannot be drawn, nothing else is lost.
    write_reports(collected, folder)
    write_gallery(cfg, models, dataset, folder / 'gallery')
    return collected


def collect_curve(sizes: Sequence[float], comparisons: Sequence[Comparison],
                  results: Sequence[Results], folder: Path) -> Curve:
    """Times the models of all sizes together and writes results.json, unless it is up to date.

    The sizes ascend, with a comparison and its results for each; ``folder`` is the work dir of all.
    """
    file = folder / 'results.json'
    if _is_newer(file, [comparison.folder / 'results.json' for comparison in comparisons]):
        found = read(folder)
        if isinstance(found, Curve) and found.sizes == list(sizes):
            return found
    first = {(run.variant, size): run
             for size, comparison in zip(sizes, comparisons)
             for run in reversed(comparison.runs) if run.finished}
    times = milliseconds({key: load_model(run) for key, run in first.items()},
                         load_dataset(comparisons[0].cfg))
    variants: dict[str, list[CurvePoint]] = {name: [] for name in results[0].variants}
    for size, result in zip(sizes, results):
        for name, of_size in result.variants.items():
            variants[name].append(CurvePoint(size, of_size.seeds, of_size.mean, of_size.std,
                                             times.get((name, size)), result.pairs().get(name)))
    about = {name: getattr(results[0], name) for name in About.__dataclass_fields__}
    curve = Curve(**about, sizes=list(sizes), pixels=[result.pixels for result in results],
                  variants=variants, failed=[run for result in results for run in result.failed])
    save(curve, file)
    return curve


def load_model(run: Run) -> BaseModel:
    """Loads the model of a finished run; a ValueError if it left no checkpoint."""
    cfg = Config.fromfile(run.config_file)
    model = revert_sync_batchnorm(build_model(cfg))
    checkpoint = run.checkpoint() or (cfg.load_from if is_frozen(cfg) else None)
    if checkpoint is None:
        raise ValueError(f'{run} left no checkpoint in {run.folder}: the config must save one '
                         '(default_hooks.checkpoint)')
    model.data_preprocessor.init_weights()
    load_checkpoint(model, checkpoint, map_location='cpu', logger='silent')
    return model.to(get_device()).eval()


def load_dataset(cfg: Config) -> BaseDataset:
    """Builds the validation set."""
    with in_scope(cfg, DATASETS) as registry:
        return registry.build(copy.deepcopy(cfg.val_dataloader.dataset))


@torch.no_grad()
def milliseconds(models: Mapping[Any, BaseModel], dataset: BaseDataset,
                 images: int = 60) -> dict[Any, float]:
    """Median latency of each model on single images, in turns, on one CPU thread or the GPU."""
    torch.set_num_threads(1)
    samples = [dataset[i] for i in range(min(images, len(dataset)))]
    times: dict[Any, list[float]] = {key: [] for key in models}
    warm_up = samples[:3]
    for sample in warm_up + samples:
        for key, model in models.items():
            batch = pseudo_collate([copy.deepcopy(sample)])
            start = time.perf_counter()
            model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[key].append(1000 * (time.perf_counter() - start))
    return {key: statistics.median(of_model[len(warm_up):]) for key, of_model in times.items()}


@torch.no_grad()
def image_change(runs: Sequence[Run], dataset: BaseDataset, images: int = 8) -> float | None:
    """How much training changed the resized image, on average over a variant's runs.

    Returns:
        float | None: The root mean square difference to the untrained resizer's image, in percent
        of that image's standard deviation. None if the untrained resizer gives no image.
    """
    changes = []
    for run in runs:
        trained = load_model(run).data_preprocessor
        if not getattr(trained.resizer, 'starts_as_image', False):
            return None
        untrained = copy.deepcopy(trained)
        untrained.resizer.reset_parameters()
        squares = []
        for index in range(min(images, len(dataset))):
            image = [dataset[index]['inputs'].to(get_device())]
            [after], [before] = trained.resize(image), untrained.resize(image)
            squares.append((after - before).square().mean() / before.var())
        changes.append(100 * torch.stack(squares).mean().sqrt().item())
    return statistics.mean(changes) if changes else None


def _up_to_date(comparison: Comparison) -> Results | None:
    """The results that are written already, if they are of exactly these runs, all finished."""
    _, runs, metric, folder = comparison
    inputs = [run.result_file for run in runs]
    if not (all(run.finished for run in runs) and (folder / 'gallery' / INDEX).exists()
            and _is_newer(folder / 'results.json', inputs)):
        return None
    found = read(folder)
    planned = [(name, run.seed) for name in dict.fromkeys(run.variant for run in runs)
               for run in runs if run.variant == name]
    if (isinstance(found, Results) and found.metric == metric
            and [(run.variant, run.seed) for run in found.runs] == planned):
        return found
    return None


def _is_newer(file: Path, inputs: Sequence[Path]) -> bool:
    """Whether a file was written after all that it was made from."""
    return file.exists() and all(i.stat().st_mtime <= file.stat().st_mtime for i in inputs)


def _run_result(run: Run, metric: str) -> RunResult:
    found = load(Evaluation, run.result_file)
    if metric not in found.metrics:
        raise ValueError(f'the evaluation gave no {metric}: choose with --metric one of '
                         f'{", ".join(found.metrics)}')
    return RunResult(run.variant, run.seed, found.metrics[metric], found.per_class, found.per_size,
                     found.device, run.curve(), round(run.seconds(), 1))


def _count(module: nn.Module | None) -> int | None:
    """The number of parameters."""
    return None if module is None else sum(p.numel() for p in module.parameters())

"""Measurements on the trained models of a comparison: sizes, time, change of the small image."""
import copy
import statistics
import time
from collections.abc import Sequence

from dsnet_mm.comparison.plan import is_frozen
from dsnet_mm.comparison.runs import Run
from dsnet_mm.config import build_model, in_scope

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DATASETS
from mmengine.runner import load_checkpoint


def load_model(run: Run) -> BaseModel:
    """Loads the model of a finished run.

    Raises:
        ValueError: If it left no checkpoint.
    """
    cfg = Config.fromfile(run.config_file)
    model = revert_sync_batchnorm(build_model(cfg))
    checkpoint = cfg.load_from if is_frozen(cfg) and not run.checkpoint() else run.checkpoint()
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


def sizes(model: BaseModel, dataset: BaseDataset) -> dict[str, list[int]]:
    """Height and width of the first image before and after resizing."""
    height, width = dataset[0]['inputs'].shape[-2:]
    return dict(input=[height, width],
                output=list(model.data_preprocessor.output_size(height, width)))


@torch.no_grad()
def milliseconds(models: Sequence[BaseModel], dataset: BaseDataset,
                 images: int = 60) -> list[float]:
    """Median time per image of each model, one image at a time, in turns, on one CPU thread."""
    torch.set_num_threads(1)
    samples = [dataset[i] for i in range(min(images, len(dataset)))]
    times: list[list[float]] = [[] for _ in models]
    warm_up = samples[:3]
    for sample in warm_up + samples:
        for model, record in zip(models, times):
            batch = pseudo_collate([copy.deepcopy(sample)])
            start = time.perf_counter()
            model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            record.append(1000 * (time.perf_counter() - start))
    return [statistics.median(record[len(warm_up):]) for record in times]


@torch.no_grad()
def moved(runs: Sequence[Run], dataset: BaseDataset) -> float | None:
    """Measures how far training moved the small image, on average over the runs of a variant.

    Returns:
        float | None: The root mean square difference to the untrained resizer's image, in percent
        of that image's standard deviation. None if the untrained resizer gives no image.
    """
    distances = [_moved(load_model(run), dataset) for run in runs]
    found = [distance for distance in distances if distance is not None]
    return statistics.mean(found) if found else None


def _moved(model: BaseModel, dataset: BaseDataset, images: int = 8) -> float | None:
    if not getattr(model.data_preprocessor.resizer, 'starts_as_image', False):
        return None
    start = copy.deepcopy(model.data_preprocessor)
    start.resizer.reset_parameters()
    squares = []
    for index in range(min(images, len(dataset))):
        image = [dataset[index]['inputs'].to(get_device())]
        trained, untrained = (p.resize(image)[0] for p in (model.data_preprocessor, start))
        squares.append((trained - untrained).square().mean() / untrained.var())
    return 100 * torch.stack(squares).mean().sqrt().item()

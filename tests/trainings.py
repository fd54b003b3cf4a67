"""Trainings of a few iterations, in this process: what several tests compare."""
from pathlib import Path

from dsnet_mm.config import load_config

import torch
from mmengine.config import Config
from mmengine.runner import Runner

EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=100)
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=5, val_interval=100)


def segmenter(data_root: Path, work_dir: Path, **options) -> Config:
    """DeepLabv3+ with dropout, on six photographs in batches of two, distorted at random.

    Options have ``__`` in place of dots.
    """
    cfg = load_config('configs/mini/camvid/deeplabv3plus_camvid.py', {
        'data_root': str(data_root / 'camvid'), 'train_dataloader.batch_size': 2,
        'train_dataloader.dataset.indices': 6, 'model.data_preprocessor.scale': 0.15,
        'val_dataloader.dataset.indices': 2, 'default_hooks.logger.interval': 1})
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.train_cfg, cfg.param_scheduler = EPOCHS, None
    # Half of the time would go into formatting the config for each checkpoint.
    object.__setattr__(cfg, '_format_python_code', False)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    return cfg


def run(cfg: Config) -> Runner:
    """The runner after its training."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def train(cfg: Config) -> dict[str, torch.Tensor]:
    """The weights it ends with."""
    return run(cfg).model.state_dict()


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """Names of weights that are not the same to the last bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]

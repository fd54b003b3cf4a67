"""Differences between versions of mmengine."""
from typing import Any

from torch.utils.data import DataLoader, Sampler


def restart_dataloader(loop: Any, loader: DataLoader, sampler: Sampler) -> None:
    """Restarts a training loop's data loader and sampler.

    The original mmengine (0.10.7) starts to load before it calls ``before_train``.
    """
    if hasattr(loop, 'dataloader_iterator'):
        from mmengine.dataset import InfiniteSampler
        kind = type(loop.dataloader_iterator)
        loader._iterator = loop.dataloader_iterator = None
        if isinstance(sampler, InfiniteSampler):  # a generator, which the first loader consumes
            sampler.indices = sampler._indices_of_rank()
        loop.dataloader_iterator = kind(loader)

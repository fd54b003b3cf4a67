"""What older versions of mmengine do otherwise."""
from typing import Any

from torch.utils.data import DataLoader, Sampler


def restart_dataloader(loop: Any, loader: DataLoader, sampler: Sampler) -> None:
    """Restarts the data loader of a training loop, and its sampler.

    The original mmengine (0.10.7) has already begun to load when ``before_train`` is called.

    Args:
        loop (Any): The training loop.
        loader (DataLoader): The loop's loader.
        sampler (Sampler): The loader's sampler.
    """
    if hasattr(loop, 'dataloader_iterator'):
        from mmengine.dataset import InfiniteSampler
        kind = type(loop.dataloader_iterator)
        loader._iterator = loop.dataloader_iterator = None
        if isinstance(sampler, InfiniteSampler):  # whoever begins to read it ends it
            sampler.indices = sampler._indices_of_rank()
        loop.dataloader_iterator = kind(loader)

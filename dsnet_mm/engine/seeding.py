"""Random numbers that depend on the seed and the step alone.

The workers of a DataLoader get only the indices of their samples. So each index carries its place
in the training (:class:`_NumberedSampler`), from which a worker seeds before it loads the sample
(:class:`_SeededItems`). A DataLoader does not let its data set or batch sampler be replaced;
``dataset.__getitems__`` and ``batch_sampler.sampler`` are set instead.
"""
import random
from collections.abc import Iterator, Sequence
from typing import Any

from dsnet_mm.compat.versions import restart_dataloader
from dsnet_mm.registry import HOOKS

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

_DATA, _MODEL = range(2)


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds each sample's augmentation and each iteration anew::

        randomness = dict(seed=0)
        custom_hooks = [dict(type='dsnet_mm.StepSeedHook')]

    mmengine seeds once. With this hook the same seed gives the same training with any number of
    data loading workers, and a resumed training gives the same result as an uninterrupted one. On
    a GPU that also needs ``randomness=dict(deterministic=True)``. No checkpoint holds, and resuming
    so loses, the images that a transform caches (``CachedMosaic``) and accumulated gradients,
    unless checkpoints are saved when ``accumulative_counts`` is reached.
    """

    def before_train(self, runner: Runner) -> None:
        """Makes the data loader number and seed its samples."""
        loader, seed = runner.train_dataloader, (runner.seed, get_rank())
        batches = loader.batch_sampler
        sampler = batches.sampler
        # Where mmengine resumes by the sampler's ``skip``, the skipped samples are never numbered.
        skips = hasattr(sampler, 'skip') and loader.batch_size is not None
        start = runner.iter * loader.batch_size if skips else 0
        batches.sampler = _NumberedSampler(sampler, start)
        loader.dataset.__getitems__ = _SeededItems(loader.dataset, seed)
        restart_dataloader(runner.train_loop, loader, sampler)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        _seed(runner.seed, get_rank(), _MODEL, runner.iter)


class _Index(int):
    """An index with its place in the training: the epoch and the number of samples before it.

    It remains an int, by which batch samplers look up images, for example those of equal ratio.
    """
    place: tuple[int, int]


class _VideoIndex(tuple):
    """The same for samplers whose indices are pairs, of a video and a frame in it."""
    place: tuple[int, int]


class _NumberedSampler:
    """A sampler that gives its indices their place, numbered from ``start``.

    In everything else it is the sampler that it wraps, for ``isinstance`` too: mmdet's batch
    samplers check the type.
    """

    def __init__(self, sampler: Any, start: int) -> None:
        self.sampler, self.start = sampler, start

    def __iter__(self) -> Iterator[_Index | _VideoIndex]:
        for number, index in enumerate(self.sampler, self.start):
            index = _VideoIndex(index) if isinstance(index, tuple) else _Index(index)
            index.place = getattr(self.sampler, 'epoch', 0), number
            yield index

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.sampler)


class _SeededItems:
    """The ``__getitems__`` of a data set, which loads a batch, with a seed before each sample."""

    def __init__(self, dataset: Dataset, seed: tuple[int, int]) -> None:
        self.dataset, self.seed = dataset, seed

    def __call__(self, indices: Sequence[_Index | _VideoIndex]) -> list:
        items = []
        for index in indices:
            _seed(*self.seed, _DATA, *index.place)
            plain = tuple(index) if isinstance(index, _VideoIndex) else int(index)
            items.append(self.dataset[plain])
        return items


def _seed(*numbers: int) -> None:
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

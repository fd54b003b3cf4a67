"""Random numbers that depend on the seed and the step alone.

mmengine seeds once: what a step draws then depends on all steps before it, on the number of data
loading workers, and on whether the training was interrupted.

The workers of a DataLoader get nothing but the indices of their samples. So each index carries its
place in the training (:class:`_NumberedSampler`), by which a worker seeds before it loads the
sample (:class:`_SeededItems`). A DataLoader lets neither its data set nor its batch sampler be
replaced; the one's ``__getitems__`` and the other's ``sampler`` are set instead.
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

    The same seed then gives the same training with any number of workers, and one that was killed
    and resumed ends as if it had not been. On a GPU that also needs
    ``randomness=dict(deterministic=True)``. Two things are lost in resuming, as no checkpoint has
    them: the images that a transform keeps (``CachedMosaic``), and gradients being accumulated,
    unless checkpoints are saved when ``accumulative_counts`` is reached.
    """

    def before_train(self, runner: Runner) -> None:
        """Lets the data loader number and seed its samples."""
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
    """An index with its place in the training: the epoch, and how many samples came before.

    It remains a number, as batch samplers look up images by it, those of equal ratio for example.
    """
    place: tuple[int, int]


class _VideoIndex(tuple):
    """An index for samplers that give the number of a video and of a frame in it."""
    place: tuple[int, int]


class _NumberedSampler:
    """A sampler that gives its indices their place.

    In everything else it is the sampler that it wraps, for ``isinstance`` too: mmdet's batch
    samplers ask for the type.

    Args:
        sampler (Any): The sampler.
        start (int): The number of the first sample.
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
    """The ``__getitems__`` of a data set, by which PyTorch loads the samples of a batch.

    It seeds before each sample.
    """

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

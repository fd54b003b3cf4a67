"""The same seed, the same training: with any number of workers, and resumed."""
import random
from types import SimpleNamespace

from dsnet_mm.engine.seeding import StepSeedHook, _NumberedSampler

import numpy as np
import pytest
import torch
from mmdet.datasets import BaseVideoDataset, TrackAspectRatioBatchSampler, TrackImgSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.runner import Runner
from trainings import ITERATIONS, differing, segmenter, train

HOOKS = [dict(type='dsnet_mm.StepSeedHook')]
KEEP_ALL = dict(default_hooks__checkpoint__max_keep_ckpts=-1)
WORKERS = dict(train_dataloader__num_workers=2)


@pytest.fixture(scope='module')
def reference(data_root, tmp_path_factory):
    """A training that nothing interrupts, its checkpoints and its last weights."""
    folder = tmp_path_factory.mktemp('reference')
    return folder, train(segmenter(data_root, folder, custom_hooks=HOOKS, **KEEP_ALL))


@pytest.mark.parametrize('workers', [
    dict(), dict(train_dataloader__num_workers=1),
    dict(WORKERS, train_dataloader__persistent_workers=True)],
    ids=['none', 'one', 'two, persistent'])
def test_the_same_with_any_number_of_workers(workers, reference, data_root, tmp_path):
    cfg = segmenter(data_root, tmp_path, custom_hooks=HOOKS, **workers)
    assert not differing(train(cfg), reference[1])


def test_without_the_hook_workers_and_interruptions_change_the_training(data_root, tmp_path):
    """mmengine keeps no random state, and promises the same for the same number of workers."""
    first = train(segmenter(data_root, tmp_path / 'first', **WORKERS))
    assert not differing(train(segmenter(data_root, tmp_path / 'again', **WORKERS)), first)
    alone = train(segmenter(data_root, tmp_path / 'alone', **KEEP_ALL))
    assert differing(alone, first)
    assert differing(train(segmenter(data_root, tmp_path / 'resumed', resume=True,
                                     load_from=str(tmp_path / 'alone/epoch_1.pth'))), alone)


def test_another_seed_is_another_training(reference, data_root, tmp_path):
    cfg = segmenter(data_root, tmp_path, custom_hooks=HOOKS, randomness__seed=1)
    assert differing(train(cfg), reference[1])


@pytest.mark.parametrize('epoch', [1, 2])
@pytest.mark.parametrize('workers', [dict(), WORKERS], ids=['none', 'two'])
def test_resumed_by_epochs(epoch, workers, reference, data_root, tmp_path):
    folder, weights = reference
    cfg = segmenter(data_root, tmp_path, custom_hooks=HOOKS, resume=True,
                    load_from=str(folder / f'epoch_{epoch}.pth'), **workers)
    assert not differing(train(cfg), weights)


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_resumed_by_iterations_in_the_middle_of_an_epoch(sampler, data_root, tmp_path):
    options = dict(
        custom_hooks=HOOKS, train_dataloader__sampler__type=sampler,
        default_hooks__checkpoint=dict(interval=1, by_epoch=False, max_keep_ckpts=-1),
        log_processor__by_epoch=False, default_hooks__logger__log_metric_by_epoch=False)

    def config(name: str, **more):
        cfg = segmenter(data_root, tmp_path / name, **options, **more)
        cfg.train_cfg = ITERATIONS
        return cfg

    weights = train(config('whole'))
    for workers in (dict(), WORKERS):
        cfg = config(f'resumed{len(workers)}', resume=True,
                     load_from=str(tmp_path / 'whole/iter_4.pth'), **workers)
        assert not differing(train(cfg), weights)


def test_every_sample_of_every_epoch_draws_its_own(data_root, tmp_path):
    cfg = segmenter(data_root, tmp_path, custom_hooks=HOOKS)
    cfg.train_dataloader.dataset.indices = [0] * 6  # six times the same photograph
    runner, seen = Runner.from_cfg(cfg), []

    class Watch(StepSeedHook):

        def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
            super().before_train_iter(runner, batch_idx, data_batch)
            seen.extend(image.float().mean().item() for image in data_batch['inputs'])
            seen.extend([random.random(), np.random.rand(), torch.rand(()).item()])

    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, StepSeedHook)]
    runner.register_hook(Watch())
    runner.train()
    assert len(seen) == 9 * 5 == len(set(seen))


def test_samplers_keep_what_else_they_can():
    for sampler in (DefaultSampler(range(10), seed=3), InfiniteSampler(range(10), seed=3)):
        numbered = _NumberedSampler(type(sampler)(range(10), seed=3), 0)
        for epoch in (0, 4):
            sampler.set_epoch(epoch), numbered.set_epoch(epoch)
            for _, index, expected in zip(range(10), numbered, sampler):
                assert index == expected
        assert len(numbered) == 10 and numbered.dataset == range(10)


class Videos(BaseVideoDataset):
    """Two videos of three and two frames; the second one is upright."""

    def load_data_list(self) -> list[dict]:
        return [dict(video_id=video, video_length=frames, images=[
            dict(frame_id=frame, width=4, height=3 + 2 * video, instances=[])
            for frame in range(frames)]) for video, frames in ((0, 3), (1, 2))]

    def filter_data(self) -> list[dict]:
        return self.data_list


@pytest.mark.parametrize('workers', [0, 1])
def test_frames_of_videos(workers):
    """Trackers' samplers give pairs, of a video and a frame in it."""
    loader = Runner.build_dataloader(dict(
        dataset=Videos(pipeline=[lambda frame: dict(frame, drawn=random.random())]), batch_size=2,
        sampler=dict(type=TrackImgSampler), num_workers=workers,
        batch_sampler=dict(type=TrackAspectRatioBatchSampler), collate_fn=dict(type=list)), seed=0)
    runner = SimpleNamespace(train_dataloader=loader, seed=0, iter=0, train_loop=None)
    StepSeedHook().before_train(runner)
    found = [frame for batch in loader for frame in batch]
    assert sorted((f['video_id'], f['key_frame_id']) for f in found) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert [f['drawn'] for f in found] == [f['drawn'] for batch in loader for f in batch]
    assert len({f['drawn'] for f in found}) == 5

"""Memory in a long training."""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dsnet_mm.models.data_preprocessors.seg import DownsizeSegDataPreProcessor
from dsnet_mm.resizers.ops import bands

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from trainings import segmenter

ITERATIONS, WARM = 2000, 200


def resident() -> int:
    """Megabytes of memory that this process takes."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20


class Watch(Hook):
    """Looks at the memory, and predicts now and then, at sizes that do not come again."""

    def __init__(self) -> None:
        self.memory, self.sizes = [], set()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.memory.append(resident())
        self.sizes.add(tuple(data_batch['inputs'][0].shape[-2:]))
        assert torch.isfinite(outputs['loss'])
        if batch_idx % 10 == 0:
            runner.model.eval()
            with torch.no_grad():
                runner.model.test_step({key: value[:1] for key, value in data_batch.items()})
            runner.model.train()


def long_training(data_root: Path, work_dir: Path, resizer: str) -> tuple:
    torch.set_num_threads(1)
    cfg = segmenter(data_root, work_dir, log_level='ERROR', model__data_preprocessor=dict(
        scale=0.5, ratio_range=(0.5, 1.5), resizer=dict(type=resizer)))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=10**6)
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.log_processor = dict(by_epoch=False)
    cfg.default_hooks.checkpoint = dict(
        type='dsnet_mm.SafeCheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1)
    cfg.custom_hooks = [dict(type='dsnet_mm.StepSeedHook')]
    resize = dict(type='RandomResize', scale=[(40, 30), (104, 80)], keep_ratio=False)
    for pipeline in (cfg.train_pipeline, cfg.train_dataloader.dataset.pipeline):
        pipeline.insert(2, resize)
    runner, watch = Runner.from_cfg(cfg), Watch()
    runner.register_hook(watch)
    runner.train()
    return watch.memory, len(watch.sizes), bands.cut.cache_info().currsize


@pytest.mark.slow
@pytest.mark.parametrize('resizer', ['DownsizeNet', 'DownsizeNetV2'])
def test_memory_stays_where_it_is(resizer, data_root, tmp_path):
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as executor:
        memory, sizes, kept = executor.submit(
            long_training, data_root, tmp_path, resizer).result()
    assert len(memory) == ITERATIONS
    curve = [float(np.median(memory[i - 50:i])) for i in range(WARM, ITERATIONS + 1, WARM)]
    warm, end = curve[0], curve[-1]
    print(f'{sizes} sizes of images; MB after each {WARM} iterations: {np.round(curve)}; '
          f'kept: the bands of {kept} sizes')
    assert sizes > 1000
    assert end < 1.05 * warm
    assert kept <= 16


def test_what_is_kept_of_sizes_is_bounded():
    preprocessor = DownsizeSegDataPreProcessor(scale=0.5, mean=[0.] * 3, std=[1.] * 3)
    with torch.no_grad():
        for side in range(20, 60):
            preprocessor.resize(torch.zeros(1, 3, side, side + 3))
    assert 0 < bands.cut.cache_info().currsize <= 16

"""Data-parallel training: a step of several processes is the step of one with all their images."""
import os
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.model import (
    BaseModel,
    MMDistributedDataParallel,
    MMFullyShardedDataParallel,
    convert_sync_batchnorm,
)
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from mmengine.utils import digit_version
from torch import Tensor, distributed, nn
from torch.distributed.elastic.utils.distributed import get_free_port
from torch.distributed.nn.functional import all_reduce


class SyncBN(nn.BatchNorm2d):
    """PyTorch's own refuses the CPU."""

    def forward(self, features: Tensor) -> Tensor:
        if not distributed.is_initialized():
            return super().forward(features)
        moments = torch.stack([features.mean((0, 2, 3)), features.square().mean((0, 2, 3))])
        mean, square = all_reduce(moments)[..., None, None] / distributed.get_world_size()
        return (features - mean) / (square - mean**2 + self.eps).sqrt()


class Tiny(BaseModel):
    """Two convolutions behind DownsizeNet, which no longer is bilinear."""

    def __init__(self, unused: bool = False, norm: bool = False, **preprocessor) -> None:
        torch.manual_seed(0)
        super().__init__(dict(
            type='dsnet_mm.DownsizeDetDataPreprocessor', mean=[120.] * 3, std=[60.] * 3,
            bgr_to_rgb=False, **dict(dict(target_size=(8, 8)), **preprocessor)))
        for p in self.data_preprocessor.resizer.parameters():
            nn.init.normal_(p, std=0.3)
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = SyncBN(4, affine=False, track_running_stats=False) if norm else nn.Identity()
        self.head = nn.Conv2d(4, 1, 3)
        if unused:
            self.other_head = nn.Conv2d(4, 1, 3)

    def forward(self, inputs, data_samples=None, mode='tensor') -> dict[str, Tensor]:
        features = self.norm(self.stem(inputs)).relu()
        return dict(loss=(self.head(features) - 1).square().mean())


def images(first: int, number: int) -> dict:
    """Some of an endless row of images, the same in all processes."""
    generators = (torch.Generator().manual_seed(first + i) for i in range(number))
    return dict(inputs=[torch.randint(0, 256, (3, 20, 15), generator=g).byte()
                        for g in generators],
                data_samples=[BaseDataElement() for _ in range(number)])


class Scenario(NamedTuple):
    steps: int = 1
    model: dict = {}
    optimizer: dict = {}
    wrapper: dict = {}


SCENARIOS = {
    'plain': Scenario(),
    'with unused parameters': Scenario(
        model=dict(unused=True), wrapper=dict(find_unused_parameters=True)),
    'looking for unused parameters': Scenario(wrapper=dict(find_unused_parameters=True)),
    'accumulated': Scenario(4, optimizer=dict(accumulative_counts=2)),
    'clipped': Scenario(optimizer=dict(clip_grad=dict(max_norm=0.01))),
    'SyncBN': Scenario(2, model=dict(norm=True)),
    'frozen': Scenario(2, model=dict(freeze=True)),
    'long': Scenario(20),
    'V2': Scenario(2, model=dict(resizer=dict(type='DownsizeNetV2'))),
}


def train(model: nn.Module, scenario: Scenario, rank: int, ranks: int,
          together: int) -> dict[str, Tensor]:
    """Trains with a rank's share of the images, of which all ranks have twice ``together``; returns
    the weights and, as the optimizer got them last, the gradients."""
    gradients = {}

    class Recorded(torch.optim.SGD):  # PyTorch 2.1 drops an optimizer's hooks once it compiles

        def step(self, closure=None) -> None:
            gradients.update((f'gradient of {name.removeprefix("module.")}', p.grad.clone())
                             for name, p in model.named_parameters() if p.grad is not None)
            super().step(closure)

    optimizer = OptimWrapper(Recorded(model.parameters(), 0.05), **scenario.optimizer)
    optimizer.initialize_count_status(model, 0, scenario.steps)
    share = 2 * together // ranks
    for step in range(scenario.steps):
        model.train_step(images(2 * together * step + share * rank, share), optimizer)
    return {**weights(model), **gradients}


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix('module.'): value.clone()
            for name, value in model.state_dict().items()}


def worker(rank: int, ranks: int, port: int, out: Path) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    distributed.init_process_group('gloo', rank=rank, world_size=ranks)
    results = {}
    for name, scenario in SCENARIOS.items():
        model = Tiny(**scenario.model)
        with torch.no_grad():  # what ranks begin with is the first one's
            for parameter in model.parameters():
                parameter.mul_(1 + rank)
        # As mmengine's Runner wraps a model. With broadcast_buffers, torch 2.1 writes to the mean
        # and standard deviation between the preprocessor and the model, and backward refuses.
        parallel = MMDistributedDataParallel(
            module=model, broadcast_buffers=False, **scenario.wrapper)
        results[name] = train(parallel, scenario, rank, ranks, ranks)
    torch.manual_seed(rank)
    preprocessor = Tiny(ratio_range=(1, 4)).data_preprocessor
    torch.manual_seed(rank)
    results['sizes'] = {
        str(step): torch.tensor(preprocessor(images(0, 1), True)['inputs'].shape)
        for step in range(5)}
    torch.save(results, out / f'{rank}.pth')
    distributed.destroy_process_group()


@pytest.fixture(scope='module', params=[2, 4])
def results(request, tmp_path_factory) -> list[dict]:
    """What each rank has at the end of each scenario."""
    folder, ranks = tmp_path_factory.mktemp('ranks'), request.param
    # Not forked: a process that has computed gradients before cannot be.
    mp.start_processes(worker, (ranks, get_free_port(), folder), nprocs=ranks, start_method='spawn')
    return [torch.load(folder / f'{rank}.pth') for rank in range(ranks)]


@pytest.mark.parametrize('name', SCENARIOS)
def test_ranks_together_step_as_one_process(results, name):
    scenario, ranks = SCENARIOS[name], len(results)
    model = Tiny(**scenario.model)
    before = weights(model)
    expected = train(model, scenario, 0, 1, ranks)
    moved = [key for key in before if 'resizer' in key and not torch.equal(before[key],
                                                                           expected[key])]
    assert bool(moved) == (name != 'frozen')
    assert results[0][name].keys() == expected.keys()
    for key, value in expected.items():
        for rank in results:
            assert torch.equal(rank[name][key], results[0][name][key]), key
        torch.testing.assert_close(results[0][name][key], value, rtol=1e-5, atol=1e-5)
    if name == 'clipped':
        gradients = [value.flatten() for key, value in expected.items() if 'gradient' in key]
        assert torch.cat(gradients).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_ranks_draw_the_same_sizes(results):
    first = results[0]['sizes']
    assert len({tuple(shape.tolist()) for shape in first.values()}) > 2
    for rank in results:
        assert all(torch.equal(rank['sizes'][step], first[step]) for step in first)


def test_the_resizer_has_nothing_to_synchronise():
    """Applied image by image, synchronised statistics would wait for other ranks for ever."""
    model = Tiny()
    before = str(model.data_preprocessor)
    assert str(convert_sync_batchnorm(model, 'torch').data_preprocessor) == before
    assert 'Norm' not in before


@pytest.mark.skipif(digit_version(torch.__version__) < digit_version('2.10'),
                    reason='FSDP of older PyTorch wants a GPU')
@pytest.mark.parametrize('resizer, refused', [('DownsizeNet', True), ('FixedResizer', False)])
def test_weights_that_are_sharded_are_refused(resizer, refused):
    distributed.init_process_group('gloo', store=distributed.HashStore(), rank=0, world_size=1)
    try:
        model = MMFullyShardedDataParallel(
            Tiny(resizer=dict(type=resizer)), device_id=torch.device('cpu'))
        optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
        if refused:
            with pytest.raises(RuntimeError, match='FSDP has sharded.*MMDistributedDataParallel'):
                model.train_step(images(0, 2), optimizer)
        else:
            assert model.train_step(images(0, 2), optimizer)['loss'] > 0
    finally:
        distributed.destroy_process_group()

"""What mmengine, mmdet and mmseg put into a checkpoint is data, and loads again."""
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.compat.weights_only import check_data

import mmdet.engine  # noqa: F401  (registers)
import mmdet.models  # noqa: F401
import mmengine.registry
import mmseg.engine  # noqa: F401
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import CheckpointLoader
from torch import nn

NEEDED = {  # the arguments without defaults
    'ConstantParamScheduler': dict(factor=0.5), 'LinearParamScheduler': dict(start_factor=0.5),
    'MultiStepParamScheduler': dict(milestones=[1, 1, 3], gamma=0.5),
    'StepParamScheduler': dict(step_size=2), 'ExponentialParamScheduler': dict(gamma=0.9),
    'CosineAnnealingParamScheduler': dict(T_max=5), 'OneCycleParamScheduler': dict(
        eta_max=1., total_steps=9), 'OneCycleLR': dict(eta_max=1., total_steps=9),
    'CosineRestartParamScheduler': dict(periods=[2, 4], restart_weights=[1, 0.5], eta_min=0.),
    'ReduceOnPlateauParamScheduler': dict(monitor='mAP'), 'PolyParamScheduler': {},
    'QuadraticWarmupParamScheduler': dict(end=5), 'PolyLRRatio': {}}


def registered(name: str) -> dict[str, type]:
    """Everything in a registry of mmengine and in those of mmdet and mmseg below it."""
    root = getattr(mmengine.registry, name)
    found = {}
    for registry in (root, *root.children.values()):
        found.update(registry.module_dict)
    return found


def saved_and_loaded(state: dict, folder: Path) -> dict:
    check_data(state, 'state')
    torch.save(state, folder / 'state.pth')
    return CheckpointLoader.load_checkpoint(str(folder / 'state.pth'), map_location='cpu',
                                            logger='silent')


def assert_same(first: object, second: object) -> None:
    """Equal, tensors and NumPy's numbers by value and type."""
    assert type(first) is type(second), (first, second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(dict.__getitem__(first, key), dict.__getitem__(second, key))
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for pair in zip(first, second):
            assert_same(*pair)
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first.to_dense(), second.to_dense())
    else:
        np.testing.assert_equal(first, second)


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = sum(p.square().sum() for p in model.parameters())
        value.backward()
        if isinstance(optimizer, torch.optim.SparseAdam):
            for p in model.parameters():
                p.grad = p.grad.to_sparse()
        return value

    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(loss)
    else:
        loss()
        optimizer.step()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False))


def arguments(kind: type) -> dict:
    for base in kind.__mro__:
        if base.__name__ in NEEDED:
            return dict(NEEDED[base.__name__])
    raise AssertionError(f'NEEDED lacks {kind.__name__}, which is new')


@pytest.mark.parametrize('name', registered('PARAM_SCHEDULERS'))
def test_schedulers(name, tmp_path):
    kind = registered('PARAM_SCHEDULERS')[name]

    def build() -> tuple[torch.optim.Optimizer, object]:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        options = arguments(kind)
        if name.endswith('ParamScheduler'):
            options['param_name'] = 'lr'
        return optimizer, kind(optimizer=optimizer, **options)

    def advance(optimizer, scheduler) -> list[float]:
        optimizer.step()
        if 'Plateau' in name:
            scheduler.step({'mAP': 0.5})
        scheduler.step()
        return [group['lr'] for group in optimizer.param_groups] + [
            group['momentum'] for group in optimizer.param_groups]

    optimizer, scheduler = build()
    for _ in range(3):
        advance(optimizer, scheduler)
    state = dict(param_schedulers=[scheduler.state_dict()], optimizer=optimizer.state_dict())
    loaded = saved_and_loaded(state, tmp_path)
    assert_same(loaded, state)
    resumed_optimizer, resumed = build()
    resumed_optimizer.load_state_dict(loaded['optimizer'])
    resumed.load_state_dict(loaded['param_schedulers'][0])
    for _ in range(3):
        assert advance(resumed_optimizer, resumed) == advance(optimizer, scheduler)


@pytest.mark.parametrize('name', sorted(set(registered('OPTIMIZERS')) - {
    'Optimizer', 'ZeroRedundancyOptimizer'}))  # of no kind; of several processes
def test_optimizers(name, tmp_path):
    model = network()
    optimizer = registered('OPTIMIZERS')[name](model.parameters(), lr=0.1)
    for _ in range(2):
        step(model, optimizer)
    state = optimizer.state_dict()
    loaded = saved_and_loaded(state, tmp_path)
    assert_same(loaded, state)
    registered('OPTIMIZERS')[name](network().parameters(), lr=0.1).load_state_dict(loaded)


@pytest.mark.parametrize('name', registered('OPTIM_WRAPPERS'))
def test_optimizer_wrappers(name, tmp_path):
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    try:
        wrapper = registered('OPTIM_WRAPPERS')[name](optimizer=optimizer)
    except (AssertionError, RuntimeError, ImportError) as error:
        pytest.skip(f'not on this machine: {error}')
    step(model, optimizer)
    wrapper.base_param_settings = dict(params=torch.tensor([0.]), lr=0.1)
    state = wrapper.state_dict()
    assert_same(saved_and_loaded(state, tmp_path), state)


def test_several_optimizers(tmp_path):
    both = OptimWrapperDict(**{name: OptimWrapper(torch.optim.SGD(network().parameters(), lr=0.1))
                               for name in ('first', 'second')})
    assert_same(saved_and_loaded(both.state_dict(), tmp_path), both.state_dict())


@pytest.mark.parametrize('name', sorted(
    name for name, kind in registered('MODELS').items()
    if isinstance(kind, type) and issubclass(kind, BaseAveragedModel)))
def test_averaged_models(name, tmp_path):
    model = network()
    average = registered('MODELS')[name](model, update_buffers=True)
    for _ in range(3):
        average.update_parameters(model)
    state = average.state_dict()
    assert_same(saved_and_loaded(state, tmp_path), state)


def test_the_message_hub(tmp_path):
    hub = MessageHub('a message hub to save')
    for value in (1., np.float32(2), torch.tensor(3.), 4):
        hub.update_scalar('train/loss', value)
    hub.update_info_dict(dict(
        epoch=3, best_score=np.float16(0.5), keep_ckpt_ids=[1, 2], last_ckpt='epoch_3.pth',
        best_score_count=np.int16(3), cfg='model = dict()', dataset_meta=dict(
            classes=('cat', ), info=ConfigDict(source='lab', more=dict(years=[2020])))))
    state = hub.state_dict()
    loaded = saved_and_loaded(state, tmp_path)
    info = loaded['runtime_info']
    assert_same(info, state['runtime_info'])
    resumed = MessageHub('another message hub')
    resumed.load_state_dict(loaded)
    for statistic in ('min', 'max', 'mean', 'current'):
        assert resumed.get_scalar('train/loss').statistics(statistic) == hub.get_scalar(
            'train/loss').statistics(statistic)


def own_function() -> None:
    pass


@pytest.mark.parametrize('value', [own_function, lambda: None, object(), nn.Linear(1, 1), open],
                         ids=['function', 'lambda', 'object', 'module', 'builtin'])
def test_what_would_not_load_is_named_before_it_is_saved(value: Callable):
    for state, path in ((dict(meta=dict(a=[1, value])), r"\['meta'\]\['a'\]\[1\]"),
                        (dict(meta=ConfigDict(b=value)), r"\['meta'\]\['b'\]")):
        with pytest.raises(TypeError, match=f'^checkpoint{path} is .* could not be loaded again'):
            check_data(state, 'checkpoint')

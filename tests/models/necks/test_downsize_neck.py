from dsnet_mm.models.necks.downsize_neck import DownsizeNeck

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

SIZES = [(20, 28), (10, 14), (5, 7)]


@pytest.fixture
def levels() -> list[torch.Tensor]:
    return [torch.randn(2, 8, *size) for size in SIZES]


def test_each_level_by_its_factor(levels):
    neck = DownsizeNeck([8, 8, 8], scale_factors=[0.5, 1, (2, 1.5)])
    small, same, large = neck(levels)
    assert same is levels[1]
    for out, level, size in ((small, levels[0], (10, 14)), (large, levels[2], (10, 10))):
        torch.testing.assert_close(out, F.interpolate(level, size, mode='bilinear'))


@pytest.mark.parametrize('to_level', [0, 1, -1])
def test_all_levels_to_the_size_of_one(levels, to_level):
    outs = DownsizeNeck([8, 8, 8], to_level=to_level)(levels)
    assert outs[to_level] is levels[to_level]
    for out, level in zip(outs, levels):
        expected = F.interpolate(level, SIZES[to_level], mode='bilinear')
        torch.testing.assert_close(out, expected)


def test_every_learned_level_learns(levels):
    neck = DownsizeNeck([8, 8, 8], to_level=1, groups=2)
    assert sum(p.numel() for p in neck.levels[1].parameters()) == 0
    optimizer = torch.optim.SGD(neck.parameters(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        sum((out - 1).square().mean() for out in neck(levels)).backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in neck.parameters())


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_it_stands_behind_another_neck(scope, levels):
    """mmengine's list of necks, in the scope of either package."""
    from dsnet_mm.config import build_model
    cfg = ConfigDict(default_scope=scope, model=[
        dict(type='FPN', in_channels=[8, 8, 8], out_channels=4, num_outs=3),
        dict(type='dsnet_mm.DownsizeNeck', in_channels=[4, 4, 4], to_level=0)])
    neck = build_model(cfg)
    neck.init_weights()
    assert isinstance(neck, nn.Sequential) and isinstance(neck[1], DownsizeNeck)
    assert DefaultScope.get_current_instance() is None
    for out, level in zip(neck(levels), neck[0](levels)):
        torch.testing.assert_close(out, F.interpolate(level, SIZES[0], mode='bilinear'))


@pytest.mark.parametrize('options, message', [
    ({}, 'give either scale_factors=.*got None and None'),
    (dict(scale_factors=[1, 2, 2], to_level=0), 'give either scale_factors='),
    (dict(scale_factors=[0.5, 2]), 'as many as the 3 levels'),
    (dict(scale_factors=[0.5, 1, -2]), 'scale must be positive'),
    (dict(to_level=3), 'to_level=3 must be the index of one of 3 levels'),
    (dict(to_level=0, groups=3), 'groups=3 must divide in_channels=8'),
])
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        DownsizeNeck([8, 8, 8], **options)


def test_bad_inputs(levels):
    neck = DownsizeNeck([8, 8, 4], to_level=0)
    with pytest.raises(ValueError, match='2 levels came, in_channels has 3'):
        neck(levels[:2])
    with pytest.raises(ValueError, match='8 channels.*in_channels=8'):
        neck(levels)

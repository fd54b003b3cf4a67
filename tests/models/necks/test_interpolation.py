import math

from dsnet_mm.models.necks.interpolation import LearnedInterpolation

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import build_upsample_layer
from mmengine.model import BaseModule
from torch import nn

SIZES = [((12, 17), (24, 34)), ((12, 17), (23, 35)), ((12, 17), (6, 8)), ((13, 10), (5, 7)),
         ((9, 9), (9, 9)), ((1, 1), (3, 2))]


def learned(in_channels: int, **options) -> LearnedInterpolation:
    """A layer as if trained: with coefficients far from bilinear."""
    layer = LearnedInterpolation(in_channels, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


@pytest.mark.parametrize('size_in, size', SIZES)
@pytest.mark.parametrize('groups', [1, 4])
def test_untrained_it_is_bilinear(size_in, size, groups):
    features = torch.randn(2, 8, *size_in)
    layer = LearnedInterpolation(8, groups=groups)
    expected = F.interpolate(features, size, mode='bilinear')
    torch.testing.assert_close(layer(features, size), expected)


@pytest.mark.parametrize('size_in, size', SIZES)
@pytest.mark.parametrize('groups', [1, 2, 6])
def test_groups_are_resized_as_a_loop_does(size_in, size, groups):
    layer = learned(6, groups=groups, compressed_channels=5)
    features = torch.randn(2, 6, *size_in)
    expected = torch.empty(2, 6, *size)
    for group in range(groups):
        part = slice(5 * group, 5 * group + 5)
        texture = F.conv2d(features, layer.compress.weight[part], layer.compress.bias[part])
        weights = layer.net.coefficients(texture, size)
        channels = range(6 // groups * group, 6 // groups * (group + 1))
        for i in range(size[0]):
            for j in range(size[1]):
                y = (i + 0.5) * size_in[0] / size[0] - 0.5
                x = (j + 0.5) * size_in[1] / size[1] - 0.5
                rows = [min(max(math.floor(y + 1e-6) + k, 0), size_in[0] - 1) for k in (0, 1)]
                columns = [min(max(math.floor(x + 1e-6) + k, 0), size_in[1] - 1) for k in (0, 1)]
                for channel in channels:
                    expected[:, channel, i, j] = sum(
                        weights[:, 2 * k + m, i, j] * features[:, channel, row, column]
                        for k, row in enumerate(rows) for m, column in enumerate(columns))
    torch.testing.assert_close(layer(features, size), expected)


@pytest.mark.parametrize('groups', [1, 3])
def test_coefficients_are_convex_and_differ_between_groups_only(groups):
    layer = learned(6, groups=groups)
    features = 50 * torch.randn(2, 6, 11, 14)
    coefficients = layer.coefficients(features, (20, 9))
    assert coefficients.shape == (2, groups, 4, 20, 9)
    assert (coefficients >= 0).all()
    torch.testing.assert_close(coefficients.sum(2), torch.ones(2, groups, 20, 9))
    prior = layer.net.prior(torch.empty(1, 16, 11, 14), (20, 9))
    assert ((coefficients - prior).abs().amax(dim=(0, 2, 3, 4)) > 0.1).all()
    for group in range(1, groups):
        assert not torch.allclose(coefficients[:, 0], coefficients[:, group], atol=0.01)
    out = layer(features, (20, 9))
    assert out.amin() >= features.amin() and out.amax() <= features.amax()
    # What is equal in all channels of a group stays equal.
    same = features[:, :1].expand(-1, 6 // groups, -1, -1).repeat(1, groups, 1, 1)
    out = layer(same, (20, 9)).unflatten(1, (groups, -1))
    assert torch.equal(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize('options', [{}, dict(groups=2), dict(num_convs=3), dict(with_cp=True),
                                     dict(activation='sigmoid'), dict(bilinear_prior=False)])
def test_every_learned_number_learns(options):
    layer = LearnedInterpolation(4, scale_factor=2, **options)
    features = torch.randn(2, 4, 9, 9, requires_grad=True)
    target = torch.randn(2, 4, 18, 18)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    losses = []
    for _ in range(3):  # the first step moves the logits, from which the others' gradients come
        loss = F.mse_loss(layer(features), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in layer.parameters())
    assert features.grad.abs().sum() > 0
    assert losses[-1] < losses[0]


def test_gradients_are_those_of_finite_differences():
    layer = learned(2, groups=2, compressed_channels=2, channels=4).double()
    features = torch.randn(1, 2, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, (7, 3)), features)


def test_with_cp_changes_nothing_but_memory():
    layer = learned(4, groups=2)
    features = torch.randn(2, 4, 8, 8, requires_grad=True)
    results = []
    for layer.net.with_cp in (False, True):
        features.grad = None
        out = layer(features, (16, 16))
        out.square().sum().backward()
        results.append((out.detach(), features.grad))
    torch.testing.assert_close(*results)


def test_a_map_without_texture_has_finite_gradients():
    layer = learned(4, scale_factor=2)
    features = torch.zeros(1, 4, 6, 6, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, pytest.param(
    torch.float16, marks=pytest.mark.skipif(
        torch.__version__ < '2.2', reason='PyTorch 2.1 has bfloat16 only, on a CPU'))])
def test_half_precision_agrees_with_single(dtype):
    layer, features = learned(4, groups=2), 1e-4 * torch.rand(2, 4, 10, 10)
    layer.compress.bias.data.zero_()
    with torch.autocast('cpu', dtype):
        half = layer(features.to(dtype), (20, 15))
    error = (half - layer(features, (20, 15))).abs().mean()
    bilinear = F.interpolate(features, (20, 15), mode='bilinear')
    assert half.dtype == dtype
    assert error < 0.1 * (layer(features, (20, 15)) - bilinear).abs().mean()


def test_mmcv_builds_it_as_an_upsample_layer():
    cfg = dict(type='dsnet_mm.LearnedInterpolation', scale_factor=2, groups=2)
    layer = build_upsample_layer(cfg, in_channels=8)
    features = torch.randn(1, 8, 5, 6)
    bilinear = build_upsample_layer(
        dict(type='bilinear', scale_factor=2, align_corners=False))
    torch.testing.assert_close(layer(features), bilinear(features))


def test_neither_building_nor_initialising_it_takes_random_numbers_of_others():

    class Model(BaseModule):

        def __init__(self, with_layer: bool) -> None:
            super().__init__(dict(type='Xavier', layer='Conv2d', distribution='uniform'))
            self.first = nn.Conv2d(4, 4, 3)
            if with_layer:
                self.layers = nn.ModuleList([LearnedInterpolation(4, 2)])
            self.second = nn.Conv2d(4, 4, 3)

    states = []
    for with_layer in (False, True):
        torch.manual_seed(3)
        model = Model(with_layer)
        model.init_weights()
        states.append((model.first.weight, model.second.weight, torch.rand(3)))
    assert all(map(torch.equal, *states))
    features = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(model.layers[0](features),
                               F.interpolate(features, scale_factor=2, mode='bilinear'))


@pytest.mark.parametrize('options, message', [
    (dict(in_channels=0), 'in_channels must be a positive integer'),
    (dict(compressed_channels=0), 'compressed_channels must be a positive integer'),
    (dict(groups=0), 'groups must be a positive integer'),
    (dict(groups=3), 'groups=3 must divide in_channels=8'),
    (dict(scale_factor=0), 'scale must be positive'),
    (dict(num_convs=7), 'num_convs must be'),
    (dict(window='auto'), "window must be 2, got 'auto'"),
])
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LearnedInterpolation(**{'in_channels': 8, **options})


@pytest.mark.parametrize('option', ['mode', 'use_texture', 'in_channel'])
def test_unknown_options(option):
    with pytest.raises(TypeError, match=option):
        LearnedInterpolation(8, **{option: True})


def test_bad_inputs():
    layer = LearnedInterpolation(8)
    with pytest.raises(ValueError, match='scale_factor=2, or call it with size'):
        layer(torch.rand(1, 8, 4, 4))
    with pytest.raises(ValueError, match='6 channels.*in_channels=6'):
        layer(torch.rand(1, 6, 4, 4), (8, 8))
    with pytest.raises(ValueError, match='must be positive'):
        layer(torch.rand(1, 8, 4, 4), (0, 8))

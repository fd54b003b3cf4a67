from dsnet_mm.models.necks.fpn import DownsizeFPN

import pytest
import torch
from mmdet.models.necks import FPN
from mmdet.registry import MODELS

OPTIONS = dict(in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5)
VARIANTS = [
    {}, dict(num_outs=4), dict(start_level=1, num_outs=5, add_extra_convs='on_input'),
    dict(num_outs=6, add_extra_convs='on_output', relu_before_extra_convs=True),
    dict(add_extra_convs='on_lateral', norm_cfg=dict(type='BN')),
    dict(end_level=2, num_outs=3)]


@pytest.fixture
def inputs() -> tuple[torch.Tensor, ...]:
    """Not every level is half as large as the one below."""
    sizes = [(41, 50), (21, 25), (11, 13), (6, 7)]
    return tuple(torch.randn(2, c, *size) for c, size in zip(OPTIONS['in_channels'], sizes))


def pair(**options) -> tuple[FPN, DownsizeFPN]:
    """mmdet's with bilinear upsampling and ours, from the same seed."""
    necks = []
    for build in (lambda **o: FPN(upsample_cfg=dict(mode='bilinear'), **o), DownsizeFPN):
        torch.manual_seed(5)
        neck = build(**{**OPTIONS, **options})
        neck.init_weights()
        necks.append(neck)
    return tuple(necks)


@pytest.mark.parametrize('options', VARIANTS)
def test_untrained_it_is_mmdets_with_bilinear_upsampling(options, inputs):
    stock, ours = pair(**options)
    state = ours.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in stock.state_dict().items())
    assert all(name.startswith('upsamples.') for name in state.keys() - stock.state_dict().keys())
    torch.testing.assert_close(ours(inputs), stock(inputs))


def test_what_is_built_after_it_gets_the_same_random_numbers():
    drawn = []
    for options in VARIANTS[:2]:
        for build in (FPN, DownsizeFPN):
            torch.manual_seed(5)
            build(**{**OPTIONS, **options}).init_weights()
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[2], drawn[3])


def test_gradients_are_mmdets_and_reach_the_learned_parts(inputs):
    stock, ours = pair()
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    for neck in (stock, ours):
        sum(out.square().mean() for out in neck(inputs)).backward()
    expected = dict(stock.named_parameters())
    for name, parameter in ours.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name].grad)
    optimizer.step()
    optimizer.zero_grad()
    sum(out.square().mean() for out in ours(inputs)).backward()
    assert len(ours.upsamples) == 3
    assert all(p.grad.abs().sum() > 0 for p in ours.upsamples.parameters())


def test_each_level_has_an_upsampling_of_its_own(inputs):
    _, ours = pair(num_outs=4)
    before = ours(inputs)
    for i, upsample in enumerate(ours.upsamples):
        torch.nn.init.normal_(upsample.net.logits.bias, std=3)
        after = ours(inputs)
        moved = [not torch.allclose(a, b, atol=1e-4) for a, b in zip(before, after)]
        assert moved == [True] * (i + 1) + [False] * (3 - i)
        before = after


def test_outside_of_it_interpolation_is_pytorchs(inputs):
    _, ours = pair()
    for upsample in ours.upsamples:
        torch.nn.init.normal_(upsample.net.logits.bias, std=3)
    before = torch.nn.functional.interpolate(inputs[0], scale_factor=2, mode='bilinear')
    ours(inputs)
    with pytest.raises(RuntimeError):  # nor after an error within
        ours((inputs[0].half(), *inputs[1:]))
    after = torch.nn.functional.interpolate(inputs[0], scale_factor=2, mode='bilinear')
    assert torch.equal(before, after)


def test_a_detector_takes_it_with_its_options(inputs):
    neck = MODELS.build(dict(type='dsnet_mm.DownsizeFPN', upsample_cfg=dict(groups=4, channels=8),
                             **OPTIONS))
    assert neck.upsamples[0].groups == 4
    assert [tuple(out.shape[1:]) for out in neck(inputs)] == [
        (8, 41, 50), (8, 21, 25), (8, 11, 13), (8, 6, 7), (8, 3, 4)]


@pytest.mark.parametrize('upsample_cfg, message', [
    (dict(mode='nearest'), 'no mode: the upsampling is learned'),
    (dict(mode='bilinear', scale_factor=2), 'no mode, scale_factor: the upsampling is learned'),
    (dict(groups=3), 'groups=3 must divide in_channels=8'),
])
def test_bad_arguments(upsample_cfg, message):
    with pytest.raises(ValueError, match=message):
        DownsizeFPN(**OPTIONS, upsample_cfg=upsample_cfg)

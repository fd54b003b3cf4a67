from dsnet_mm.models.heads.sep_aspp_head import DownsizeSepASPPHead

import pytest
import torch
from mmseg.models.decode_heads import DepthwiseSeparableASPPHead

OPTIONS = dict(in_channels=16, in_index=1, channels=8, dilations=(1, 2, 3), c1_in_channels=4,
               c1_channels=4, num_classes=3, norm_cfg=dict(type='BN'), align_corners=False)


@pytest.fixture
def inputs() -> list[torch.Tensor]:
    return [torch.randn(2, 4, 21, 26), torch.randn(2, 16, 11, 13)]


def pair(**options) -> list[DepthwiseSeparableASPPHead]:
    """mmseg's head and ours, from the same seed."""
    heads = []
    for build in (DepthwiseSeparableASPPHead, DownsizeSepASPPHead):
        torch.manual_seed(5)
        heads.append(build(**{**OPTIONS, **options}))
        heads[-1].init_weights()
    return heads


@pytest.mark.parametrize('training', [True, False])
def test_untrained_it_is_mmsegs(training, inputs):
    stock, ours = (head.train(training) for head in pair())
    state = ours.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in stock.state_dict().items())
    logits = []
    for head in (stock, ours):
        torch.manual_seed(6)  # dropout
        logits.append(head(inputs))
    torch.testing.assert_close(*logits)
    for name, value in stock.state_dict().items():  # the running statistics
        torch.testing.assert_close(value, ours.state_dict()[name])


def test_the_learned_parts_learn(inputs):
    _, ours = pair()
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    labels = torch.randint(3, (2, 21, 26))
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(ours(inputs), labels).backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in ours.upsample.parameters())


def test_it_upsamples_as_its_layer_says(inputs):
    ours = DownsizeSepASPPHead(**OPTIONS, upsample_cfg=dict(groups=2)).eval()
    assert ours.upsample.groups == 2
    before = ours(inputs)
    torch.nn.init.normal_(ours.upsample.net.logits.bias, std=3)
    assert (ours(inputs) - before).abs().max() > 1e-3


@pytest.mark.parametrize('options, message', [
    (dict(c1_in_channels=0, c1_channels=0), 'use DepthwiseSeparableASPPHead'),
    (dict(align_corners=True), 'set align_corners=False'),
    (dict(upsample_cfg=dict(groups=3)), 'groups=3 must divide in_channels=8'),
])
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        DownsizeSepASPPHead(**{**OPTIONS, **options})

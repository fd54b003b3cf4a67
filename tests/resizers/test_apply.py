from dsnet_mm import DownsizeNet, FixedResizer
from dsnet_mm.resizers.apply import apply_resizer

import pytest
import torch
from torch import nn


@pytest.fixture
def net() -> DownsizeNet:
    net = DownsizeNet()
    nn.init.normal_(net.logits.weight)
    return net


def test_rgb_images_are_flipped_for_the_resizer_and_back(net):
    images = torch.rand(2, 3, 20, 30) * torch.tensor([1, 0.5, 0.1])[:, None, None]
    bgr = apply_resizer(net, images.flip(1), (8, 12))
    rgb = apply_resizer(net, images, (8, 12), channel_order='rgb')
    torch.testing.assert_close(rgb, bgr.flip(1))
    torch.testing.assert_close(bgr, net(images.flip(1), (8, 12)))
    assert (rgb - net(images, (8, 12))).abs().max() > 1e-3  # the order matters
    gray = torch.rand(1, 1, 20, 30)
    assert torch.equal(apply_resizer(FixedResizer(), gray, (8, 12), channel_order='rgb'),
                       FixedResizer()(gray, (8, 12)))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_and_autocast_change_nothing(net, dtype):
    images = torch.rand(1, 3, 20, 30).to(dtype)
    expected = net(images.float(), (8, 12))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(apply_resizer(net, images, (8, 12)), expected)


def test_bytes_stay_in_their_range():
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    images[..., 8:] = 255
    bicubic = FixedResizer('bicubic')
    assert bicubic(images, (64, 64)).max() > 255
    resized = apply_resizer(bicubic, images, (64, 64))
    assert resized.max() == 255 and resized.min() == 0

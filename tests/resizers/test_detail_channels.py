"""Detail maps of DownsizeNetV2, and space to depth."""
from dsnet_mm.resizers import DownsizeNetV2, SpaceToDepth
from dsnet_mm.resizers.apply import apply_resizer

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

side = st.integers(1, 40)


def trained(**options: object) -> DownsizeNetV2:
    net = DownsizeNetV2(detail_channels=4, **options)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def without(net: DownsizeNetV2) -> DownsizeNetV2:
    plain = DownsizeNetV2(channels=net.embedding.out_channels)
    plain.load_state_dict({key: value for key, value in net.state_dict().items()
                           if not key.startswith('detail')})
    return plain.to(net.logits.weight.dtype)


@given(side, side, side, side, st.booleans())
def test_the_image_is_that_without_them(height, width, h, w, learns):
    net = trained().requires_grad_(learns)
    images = 255 * torch.rand(2, 3, height, width)
    found = net(images, (h, w))
    assert found.shape == (2, 7, h, w)
    assert torch.equal(found[:, :3], without(net).requires_grad_(learns)(images, (h, w)))


def test_they_are_a_1x1_convolution_of_the_features():
    net, images = trained(), 255 * torch.rand(1, 3, 30, 40)
    features = []
    net.context.register_forward_hook(lambda *args: features.append(args[2].clone()))
    found = net(images, (10, 13))[:, 3:]
    expected = 10.06 * torch.einsum('dc,ncyx->ndyx', net.detail.weight[:, :, 0, 0],
                                 features[0].relu())
    torch.testing.assert_close(found, expected)


def test_bands_are_the_whole(monkeypatch):
    net, images = trained().double(), 255 * torch.rand(2, 3, 50, 60).double()
    expected = net(images, (17, 21)).detach()
    monkeypatch.setattr(DownsizeNetV2, '_PIXELS', 100)
    with torch.no_grad():
        torch.testing.assert_close(net(images, (17, 21)), expected, rtol=0, atol=1e-8)


def test_contrast_and_brightness_change_the_image_alone():
    net, images = trained().double(), torch.rand(1, 3, 30, 40).double()
    once, twice = net(images, (9, 12)), net(100 * images + 7, (9, 12))
    torch.testing.assert_close(twice[:, :3], 100 * once[:, :3] + 7, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(twice[:, 3:], once[:, 3:], rtol=1e-3, atol=1e-3)


def test_gradients_against_finite_differences():
    net = trained(channels=2).double()
    images = torch.rand(1, 3, 6, 4).double().requires_grad_()
    names, values = zip(*net.named_parameters())
    assert torch.autograd.gradcheck(
        lambda images, *values: torch.func.functional_call(
            net, dict(zip(names, values)), (images, (3, 2))),
        (images, *(value.detach().requires_grad_() for value in values)), atol=1e-4)


def test_none_by_default():
    assert DownsizeNetV2().detail is None and DownsizeNetV2().detail_channels == 0
    assert DownsizeNetV2().state_dict().keys() == without(trained()).state_dict().keys()
    with pytest.raises(ValueError, match='detail_channels must be a positive integer, got 0'):
        DownsizeNetV2(detail_channels=0)


@pytest.mark.parametrize('net', [trained(), SpaceToDepth()], ids=['V2', 'space to depth'])
def test_colours_are_flipped_and_bytes_clamped_in_the_image_alone(net):
    images = torch.randint(256, (1, 3, 20, 30), dtype=torch.uint8)
    found = apply_resizer(net, images, (7, 9), channel_order='rgb')
    expected = net(images.flip(1), (7, 9))
    torch.testing.assert_close(found[:, :3], expected[:, :3].flip(1))
    assert torch.equal(found[:, 3:], expected[:, 3:]) and found[:, 3:].min() < 0


@pytest.mark.parametrize('m', [2, 3])
def test_space_to_depth_against_a_naive_loop(m):
    net, images = SpaceToDepth(m), 255 * torch.rand(2, 3, 31, 40)
    found = net(images, (5, 7))
    dense = F.interpolate(images, (5 * m, 7 * m), mode='bilinear', antialias=True)
    assert found.shape == (2, 3 * m * m, 5, 7) and net.detail_channels == 3 * (m * m - 1)
    for y in range(5):
        for x in range(7):
            cell = dense[:, :, m * y:m * y + m, m * x:m * x + m].flatten(2)
            mean = cell.mean(dim=2)
            torch.testing.assert_close(found[:, :3, y, x], mean)
            torch.testing.assert_close(found[:, 3:, y, x] * 10,
                                       (cell - mean[..., None])[..., :-1].flatten(1),
                                       rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('arguments, message', [
    (dict(m=1), 'm must be 2 or more'), (dict(m=0), 'positive'), (dict(in_channels=0), 'positive')])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpaceToDepth(**arguments)

from dsnet_mm.resizers import MULLER

import numpy as np
import pytest
import torch
from peers import SIZES, bilinear, photographs
from scipy import ndimage


@pytest.fixture(scope='module')
def images():
    return photographs()


def test_has_the_papers_parameters():
    assert sum(p.numel() for p in MULLER().parameters()) == 4
    assert sum(p.numel() for p in MULLER(num_layers=3, in_channels=1).parameters()) == 6


@pytest.mark.parametrize('num_layers', [1, 2, 3])
@pytest.mark.parametrize('size', SIZES)
def test_against_scipy(num_layers, size, images):
    net = MULLER(num_layers).double()
    with torch.no_grad():  # the weights the authors publish for a ResNet-50, and one more pair
        net.scale.copy_(torch.tensor([1.892, -11.295, 3.0])[:num_layers])
        net.bias.copy_(torch.tensor([-0.014, 0.003, 0.2])[:num_layers])
    kernel = np.array([[np.exp(-(y * y + x * x) / 2) for x in range(-2, 3)]
                       for y in range(-2, 3)])
    kernel /= kernel.sum()

    image = images.double() / 255
    expected = bilinear(image, size)
    for scale, bias in zip(net.scale.tolist(), net.bias.tolist()):
        blurred = torch.from_numpy(np.stack([
            [ndimage.correlate(channel, kernel, mode='constant') for channel in one]
            for one in image.numpy()]))
        difference = bilinear(blurred - image, size)
        expected = expected + (scale * difference + bias).tanh()
        image = blurred
    out = net(images.double(), size)
    torch.testing.assert_close(out, 255 * expected.clamp(0, 1), rtol=0, atol=1e-4)
    assert (out - bilinear(images.double(), size)).abs().mean() > 1


@pytest.mark.parametrize('shade, bias', [(0, -0.1), (0, 0), (255, 0), (255, 0.1)])
def test_black_and_white_stay_and_have_gradients(shade, bias):
    net, images = MULLER(num_layers=1), torch.full((1, 3, 8, 8), float(shade), requires_grad=True)
    with torch.no_grad():
        net.bias.fill_(bias)
    out = net(images, (5, 3))  # an odd ratio: interpolation rounds white up here and there
    assert (out == shade).all() if bias else (out - shade).abs().max() < 1e-3
    assert 0 <= out.min() and out.max() <= 255
    out.sum().backward()
    assert images.grad.sum() == pytest.approx(3 * 5 * 3)
    assert net.bias.grad.item() == pytest.approx(3 * 5 * 3 * 255 * (1 - np.tanh(bias)**2))

import math
from functools import partial

from dsnet_mm.resizers import DownsizeNet
from dsnet_mm.resizers.ops.sampling import project

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

side = st.integers(1, 40)


def trained(**kwargs) -> DownsizeNet:
    """A network far from bilinear."""
    net = DownsizeNet(**kwargs)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return net


def triangle(offset, inside) -> float:
    return max(0, 1 - abs(offset)) if inside else 0


def naive(net: DownsizeNet, images, size):
    """One output pixel at a time, in double precision, from the layers' raw weights."""
    weight = {name: p.detach().double() for name, p in net.named_parameters()}
    images = images.double()
    n, c, height, width = images.shape
    h, w = size
    out = images.new_zeros(n, c, h, w)
    for b, image in enumerate(images):
        mean = image.mean(dim=(1, 2), keepdim=True)
        feature = (image - mean) / ((image - mean)**2).mean(dim=(1, 2), keepdim=True).sqrt()
        for layer in [m for m in net.texture or () if hasattr(m, 'weight')]:
            kernel, bias = layer.weight.detach().double(), layer.bias.detach().double()
            padded = F.pad(feature, (1, 1, 1, 1))
            feature = torch.stack([torch.stack([
                torch.einsum('oiyx,iyx->o', kernel, padded[:, y:y + 3, x:x + 3]) + bias
                for x in range(width)], -1) for y in range(height)], -2).clamp(min=0)
        for i in range(h):
            for j in range(w):
                y, x = (i + 0.5) * height / h - 0.5, (j + 0.5) * width / w - 0.5
                y0, x0 = math.floor(y), math.floor(x)
                rows, columns = (y0, y0 + 1), (x0, x0 + 1)
                parts = []
                if net.texture is not None:
                    parts.append(feature[:, max(y0, 0), max(x0, 0)])
                if net.distance is not None:
                    d = torch.tensor([math.hypot(y - p, x - q) for p in rows for q in columns],
                                     dtype=torch.double)
                    encoded = weight['distance.0.weight'][:, :, 0, 0] @ d
                    parts.append((encoded + weight['distance.0.bias']).clamp(min=0))
                logit = weight['logits.weight'][:, :, 0, 0] @ torch.cat(parts)
                logit = logit + weight['logits.bias']
                a = logit.exp() if net.activation == 'softmax' else 1 / (1 + (-logit).exp())
                a = a / a.sum()
                if net.bilinear_prior:
                    prior = torch.tensor([
                        triangle(p - y, 0 <= p < height) * triangle(q - x, 0 <= q < width)
                        for p in rows for q in columns], dtype=torch.double)
                    gain = 4 * a
                    a = (prior / prior.sum() * gain + 0.1 * (gain - 1)).clamp(min=0)
                    a = a / a.sum()
                neighbours = [image[:, min(max(p, 0), height - 1), min(max(q, 0), width - 1)]
                              for p in rows for q in columns]
                out[b, :, i, j] = torch.stack(neighbours, -1) @ a
    return out


@pytest.mark.parametrize('kwargs', [
    dict(), dict(num_convs=3, channels=5), dict(num_convs=4, channels=3, activation='sigmoid'),
    dict(use_distance=False), dict(use_texture=False), dict(bilinear_prior=False),
    dict(bilinear_prior=False, activation='sigmoid', use_distance=False),
    dict(window=2)])
@pytest.mark.parametrize('size', [(3, 4), (5, 2), (9, 13)])
def test_against_a_loop(kwargs, size):
    net = trained(**kwargs)
    images = torch.rand(2, 3, 7, 6) * 200 - 30
    torch.testing.assert_close(net(images, size), naive(net, images, size).float(),
                               rtol=1e-3, atol=1e-2)


@given(side, side, side, side, st.sampled_from(['softmax', 'sigmoid']), st.integers(1, 4))
def test_starts_as_bilinear_interpolation(height, width, h, w, activation, channels):
    images = torch.rand(2, channels, height, width) * 255
    net = DownsizeNet(activation=activation, in_channels=channels)
    reference = F.interpolate(images, (h, w), mode='bilinear', align_corners=False)
    torch.testing.assert_close(net(images, (h, w)), reference, rtol=0, atol=255e-4)


@pytest.mark.parametrize('size_in, size_out', [
    ((300, 300), (160, 160)), ((513, 513), (179, 179)), ((360, 480), (90, 160)),
    ((1079, 1919), (600, 1001)), ((100, 150), (301, 333))])
def test_starts_as_bilinear_interpolation_at_real_sizes(size_in, size_out):
    images = torch.rand(1, 3, *size_in) * 255
    reference = F.interpolate(images, size_out, mode='bilinear', align_corners=False)
    torch.testing.assert_close(DownsizeNet()(images, size_out), reference, rtol=0, atol=255e-4)


@given(side, side, side, side, st.booleans(), st.sampled_from(['softmax', 'sigmoid']))
def test_output_lies_between_its_four_neighbours(height, width, h, w, prior, activation):
    net = trained(bilinear_prior=prior, activation=activation)
    images = torch.rand(1, 3, height, width) * 255
    coefficients = net.coefficients(images, (h, w))
    assert coefficients.shape == (1, 4, h, w) and coefficients.min() >= 0
    assert net.prior(images, (h, w)).shape == (4, h, w)
    torch.testing.assert_close(coefficients.sum(1), torch.ones(1, h, w))
    out = net(images, (h, w))
    for i in range(h):
        for j in range(w):
            y = max((i + 0.5) * height / h - 0.5, 0)
            x = max((j + 0.5) * width / w - 0.5, 0)
            # A hair's breadth wider, for points that fall exactly on a pixel.
            block = images[0, :, max(math.floor(y - 1e-4), 0):math.floor(y + 1e-4) + 2,
                           max(math.floor(x - 1e-4), 0):math.floor(x + 1e-4) + 2].flatten(1)
            assert (out[0, :, i, j] >= block.amin(1) - 1e-3).all()
            assert (out[0, :, i, j] <= block.amax(1) + 1e-3).all()


def test_value_range_does_not_matter():
    net, images = trained(), torch.rand(2, 3, 20, 20)
    out = net(images, (9, 11))
    torch.testing.assert_close(net(images * 255 - 40, (9, 11)), out * 255 - 40,
                               rtol=1e-4, atol=1e-2)


def test_images_of_a_batch_do_not_meet():
    net, images = trained(), torch.rand(3, 3, 20, 20)
    alone = torch.cat([net(image[None], (9, 11)) for image in images])
    torch.testing.assert_close(net(images, (9, 11)), alone)


def test_flat_images_stay_flat():
    out = trained()(torch.full((1, 3, 30, 30), 117.), (13, 13))
    torch.testing.assert_close(out, torch.full((1, 3, 13, 13), 117.))


@pytest.mark.parametrize('size_in, size_out', [((12, 12), (7, 5)), ((15, 15), (5, 5)),
                                               ((12, 12), (6, 6)), ((6, 6), (9, 9))])
@pytest.mark.parametrize('activation', DownsizeNet.ACTIVATIONS)
def test_learns_from_its_start(size_in, size_out, activation):
    """Also at odd ratios, where three of four bilinear coefficients are zero: it learns to take the
    brightest neighbour."""
    net = DownsizeNet(activation=activation)
    images = torch.rand(8, 3, *size_in)
    images[:] = images[:, :1]  # grey
    brightest = F.max_pool2d(F.pad(images, (0, 1, 0, 1)), 2, stride=1)
    grid = project(size_in, size_out)
    target = brightest[:, :, grid.y.lower()][:, :, :, grid.x.lower()]
    start = F.mse_loss(net(images, size_out), target).item()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(200):
        loss = F.mse_loss(net(images, size_out), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * start


def test_gradients_of_every_weight_against_finite_differences():
    net = trained(channels=3).double()
    images = torch.rand(1, 3, 6, 7).double().requires_grad_()
    names, values = zip(*net.named_parameters())
    assert torch.autograd.gradcheck(
        lambda images, *values: torch.func.functional_call(
            net, dict(zip(names, values)), (images, (3, 4))),
        (images, *(v.detach().requires_grad_() for v in values)), atol=1e-4)


def test_parameters_have_no_integer_buffers_or_scalars():
    for num_convs in (2, 3, 4):
        net = DownsizeNet(num_convs)
        assert not list(net.buffers())
        assert all(p.dim() > 0 for p in net.parameters())
        # Convolutions 3 -> 16 -> ... -> 16, distance 4 -> 16, coefficients 32 -> 4.
        assert sum(p.numel() for p in net.parameters()) == (
            448 + (num_convs - 1) * 2320 + 80 + 132)


@pytest.mark.parametrize('kwargs, message', [
    (dict(num_convs=1), 'num_convs must be 2, 3 or 4, got 1'),
    (dict(activation='relu'), "got 'relu'"),
    (dict(channels=0), 'channels'),
    (dict(in_channels=-1), 'in_channels'),
    (dict(window='auto'), "window must be 2, got 'auto': .*DownsizeNetV2 .*commit 9598a05"),
    (dict(window=4), 'window must be 2, got 4: .*DownsizeNetV2'),
    (dict(window=None), 'window must be 2, got None'),
    (dict(use_texture=False, use_distance=False), 'cannot both be False'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DownsizeNet(**kwargs)


def test_wrong_number_of_channels_names_the_remedy():
    with pytest.raises(ValueError, match='1 channels.*takes 3.*in_channels=1'):
        DownsizeNet()(torch.rand(1, 1, 4, 4), (2, 2))


@pytest.mark.parametrize('window', [4, 6])
def test_weights_of_a_larger_window_are_refused(window):
    """Also where mmengine would only warn of another shape; ``'auto'`` had as many as 4."""
    model = nn.Sequential(DownsizeNet())
    state = model.state_dict()
    state['0.logits.weight'] = torch.zeros(window**2, 32, 1, 1)
    state['0.logits.bias'] = torch.zeros(window**2)
    message = f'0.logits.weight is for {window**2} neighbours .*DownsizeNetV2 .*commit 9598a05'
    for load in (model.load_state_dict, partial(load_state_dict, model)):
        with pytest.raises(ValueError, match=message):
            load(state)

from dsnet_mm.resizers import MULLER, TalebiMilanfarResizer

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage import data

PEERS = [TalebiMilanfarResizer, MULLER]
SIZES = [(23, 31), (48, 33), (97, 131), (20, 150)]  # smaller, odd and even, larger, both


@pytest.fixture(scope='module')
def images():
    """Two real photographs (2, 3, 67, 81), 0 to 255; the first reaches into black."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()
    return torch.stack([photo[:, 300:367, 180:261], photo[:, 60:127, 180:261]])


def trained(peer, **kwargs):
    """Far from its start, in double precision, with running averages of its own."""
    net = peer(**kwargs).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    for name, buffer in net.named_buffers():
        if 'running' in name:
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    return net


def bilinear(images, size):
    return F.interpolate(images, size, mode='bilinear', align_corners=False)


def count(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize('channels, num_blocks, thousands', [
    (16, 1, 11.87), (16, 2, 16.48), (16, 3, 21.08), (16, 4, 25.69),
    (32, 1, 38.08), (32, 2, 56.51), (32, 3, 74.94), (32, 4, 93.37)])
def test_talebi_milanfar_has_the_papers_weights(channels, num_blocks, thousands):
    """The paper's Table 2, which cuts the second decimal off."""
    net = TalebiMilanfarResizer(channels, num_blocks)
    kernels = sum(p.numel() for p in net.parameters() if p.dim() == 4)
    assert kernels // 10 == round(100 * thousands)
    # Nothing else but a scale and a shift a channel, in 2 normalisations and 2 more a block.
    assert count(net) == kernels + (2 + 2 * num_blocks) * 2 * channels


def test_muller_has_the_papers_parameters():
    assert count(MULLER()) == 4
    assert count(MULLER(num_layers=3, in_channels=1)) == 6


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('peer', PEERS)
def test_starts_as_bilinear_interpolation(peer, size, images):
    torch.testing.assert_close(peer()(images, size), bilinear(images, size), rtol=0, atol=1e-4)


@pytest.mark.parametrize('num_layers', [1, 2, 3])
@pytest.mark.parametrize('size', SIZES)
def test_muller_against_scipy(num_layers, size, images):
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


@pytest.mark.parametrize('num_blocks', [1, 2])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('size', SIZES)
def test_talebi_milanfar_against_its_state_dict(num_blocks, training, size, images):
    net = trained(TalebiMilanfarResizer, channels=6, num_blocks=num_blocks).train(training)
    state = {name: value.clone() for name, value in net.state_dict().items()}

    def conv(x, name):
        kernel = state[f'{name}.weight']
        return F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)

    def norm(x, name):
        mean, variance = state[f'{name}.running_mean'], state[f'{name}.running_var']
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        by_channel = (x.movedim(1, -1) - mean) / (variance + 1e-5).sqrt()
        by_channel = by_channel * state[f'{name}.weight'] + state[f'{name}.bias']
        return by_channel.movedim(-1, 1)

    def leaky(x):
        return torch.where(x > 0, x, 0.2 * x)

    x = images.double() / 127.5 - 1
    features = norm(leaky(conv(leaky(conv(x, 'extract.0')), 'extract.2')), 'extract.4')
    features = resized = bilinear(features, size)
    for i in range(num_blocks):
        block = leaky(norm(conv(features, f'blocks.{i}.0'), f'blocks.{i}.1'))
        features = features + norm(conv(block, f'blocks.{i}.3'), f'blocks.{i}.4')
    features = resized + norm(conv(features, 'merge.0'), 'merge.1')
    expected = (bilinear(x, size) + conv(features, 'project')).clamp(-1, 1)
    torch.testing.assert_close(net(images.double(), size), (expected + 1) * 127.5,
                               rtol=0, atol=1e-6)


@pytest.mark.parametrize('peer', PEERS)
def test_gradients_reach_every_parameter_and_the_images(peer, images):
    net = trained(peer).float()
    images = images.clone().requires_grad_()
    (net(images, (23, 31)) - 128).square().mean().backward()
    for name, value in [('images', images), *net.named_parameters()]:
        assert value.grad.isfinite().all() and value.grad.abs().max() > 0, name


@pytest.mark.parametrize('peer, lr', [(TalebiMilanfarResizer, 1e-3), (MULLER, 0.03)])
def test_learns_to_sharpen(peer, lr, images):
    net = peer()
    blurred = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    target = bilinear((2 * images - blurred).clamp(0, 255), (33, 41))
    start = F.mse_loss(net(images, (33, 41)), target).item()
    optimizer = torch.optim.Adam(net.parameters(), lr)
    for _ in range(40):
        loss = F.mse_loss(net(images, (33, 41)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * start


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


def test_output_is_clamped(images):
    for net in (TalebiMilanfarResizer(bilinear_start=False), MULLER(1)):
        for scale in (-8., 8.):
            if isinstance(net, MULLER):
                torch.nn.init.constant_(net.scale, scale)
            out = net(images, (23, 31))
            assert out.min() == 0 and out.max() == 255


@pytest.mark.parametrize('peer', PEERS)
@pytest.mark.parametrize('value_range', [(0, 1), (-2, 2.5)])
def test_value_range_does_not_matter(peer, value_range, images):
    net = trained(peer)
    other = trained(peer, value_range=value_range)
    other.load_state_dict(net.state_dict())
    low, high = value_range
    out = net(images.double(), (23, 31)) / 255 * (high - low) + low
    torch.testing.assert_close(other(images.double() / 255 * (high - low) + low, (23, 31)), out)


@pytest.mark.parametrize('peer', PEERS)
def test_reset_parameters_starts_anew(peer, images):
    net = trained(peer).float()
    net(images, (23, 31))
    net.reset_parameters()
    start = peer().state_dict()
    for name, value in net.state_dict().items():
        if value.dim() == 4 and name != 'project.weight':  # drawn at random
            assert 0.5 < value.std() / start[name].std() < 2
        else:
            assert torch.equal(value, start[name]), name


def test_reset_parameters_draws_a_random_start():
    net = TalebiMilanfarResizer(bilinear_start=False)
    before = [p.clone() for p in net.parameters() if p.dim() == 4]
    net.reset_parameters()
    after = [p for p in net.parameters() if p.dim() == 4]
    assert not any(torch.equal(p, q) for p, q in zip(before, after))
    assert net.project.weight.abs().max() > 0


@pytest.mark.parametrize('peer', PEERS)
def test_other_channels(peer, images):
    out = peer(in_channels=1)(images[:, :1], (23, 31))
    torch.testing.assert_close(out, bilinear(images[:, :1], (23, 31)), rtol=0, atol=1e-4)


@pytest.mark.parametrize('peer, kwargs, message', [
    (TalebiMilanfarResizer, dict(channels=0), 'channels must be a positive integer, got 0'),
    (TalebiMilanfarResizer, dict(num_blocks=1.5), 'num_blocks must .*, got 1.5'),
    (MULLER, dict(num_layers=0), 'num_layers must be a positive integer, got 0'),
    *((peer, dict(in_channels=-1), 'in_channels must .*, got -1') for peer in PEERS),
    *((peer, dict(value_range=wrong), r'value_range must .*like \(0, 255\), got')
      for peer in PEERS for wrong in [255, (0, 1, 2), (1, 0), (0, float('nan'))]),
])
def test_bad_arguments(peer, kwargs, message):
    with pytest.raises(ValueError, match=message):
        peer(**kwargs)


@pytest.mark.parametrize('peer', PEERS)
def test_bad_images_and_sizes(peer, images):
    with pytest.raises(ValueError, match='1 channels.*takes 3.*in_channels=1'):
        peer()(images[:, :1], (2, 2))
    with pytest.raises(TypeError, match='int32'):
        peer()(images.int(), (2, 2))
    with pytest.raises(ValueError, match='positive'):
        peer()(images, (2, 0))

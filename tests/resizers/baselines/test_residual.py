"""What both published peers share."""
from dsnet_mm.resizers import MULLER, TalebiMilanfarResizer

import pytest
import torch
import torch.nn.functional as F
from peers import SIZES, bilinear, photographs, trained

PEERS = [TalebiMilanfarResizer, MULLER]


@pytest.fixture(scope='module')
def images():
    return photographs()


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('peer', PEERS)
def test_starts_as_bilinear_interpolation(peer, size, images):
    torch.testing.assert_close(peer()(images, size), bilinear(images, size), rtol=0, atol=1e-4)


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

"""DownsizeNetV2 against independent references: loops, F.interpolate, and its own whole graph."""
import copy
import math
import pickle

from dsnet_mm.resizers import DownsizeNetV2, OutputSize

import cv2
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from storages import largest_map
from torch import Tensor

HALF = [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.skipif(
    torch.__version__ < '2.2', reason='PyTorch 2.1 has no float16 on the CPU'))]
side = st.integers(1, 40)


def trained(**kwargs) -> DownsizeNetV2:
    """A network far from its start."""
    net = DownsizeNetV2(**kwargs)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return net


def sampled(values: Tensor, size_out: int) -> Tensor:
    """``2 * size_out + 1`` samples of the last axis, by a triangle around each."""
    size_in = values.shape[-1]
    step = size_in / (2 * size_out)
    samples = []
    for k in range(2 * size_out + 1):
        point = k * step - 0.5
        weights = [max(0, 1 - abs(j - point) / max(1, step - 1)) for j in range(size_in)]
        samples.append(values @ values.new_tensor(weights) / sum(weights))
    return torch.stack(samples, dim=-1)


def naive(net: DownsizeNetV2, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """One output pixel at a time, in double precision, from the layers' raw weights: the images and
    the coefficients."""
    weight = {name: p.detach().double() for name, p in net.named_parameters()}
    line = {'bilinear': [0, 1, 0], 'antialias': [1 / 4, 1 / 2, 1 / 4]}[net.start]
    prior = torch.tensor([y * x for y in line for x in line], dtype=torch.double) + 1e-3
    h, w = size
    channels = images.shape[1]
    kernel = weight['embedding.weight'] - weight['embedding.weight'].mean((2, 3), keepdim=True)
    out = torch.zeros(len(images), channels, h, w, dtype=torch.double)
    coefficients = torch.zeros(len(images), 9, h, w, dtype=torch.double)
    for n, image in enumerate(images.double()):
        samples = sampled(sampled(image, w).mT, h).mT

        def window(i, j, samples=samples):
            rows, columns = ([min(max(2 * k + d, 0), 2 * size) for d in range(3)]
                             for k, size in ((i, h), (j, w)))
            return samples[:, rows][:, :, columns]

        def embedded(i, j, window=window):
            contrast = torch.einsum('ocyx,cyx->o', kernel, window(i, j))
            # Brightness is that of the centre.
            power = (contrast**2).mean() + 1e-6 * (window(i, j)[:, 1, 1]**2).mean()
            contrast = contrast / power.sqrt() if power > 0 else contrast
            return (contrast + weight['embedding.bias']).clamp(min=0)

        for i in range(h):
            for j in range(w):
                around = torch.stack([torch.stack([embedded(i + y, j + x) for x in (-1, 0, 1)], -1)
                                      for y in (-1, 0, 1)], -2)
                feature = torch.einsum('oiyx,iyx->o', weight['context.weight'], around)
                feature = (feature + weight['context.bias']).clamp(min=0)
                logits = weight['logits.weight'][:, :, 0, 0] @ feature + weight['logits.bias']
                gains = prior * (logits - logits.max()).exp()
                coefficients[n, :, i, j] = gains / gains.sum()
                out[n, :, i, j] = window(i, j).flatten(1) @ coefficients[n, :, i, j]
    return out, coefficients


@pytest.mark.parametrize('kwargs', [
    dict(), dict(channels=5, prior='antialias'), dict(channels=1, in_channels=1),
    dict(in_channels=5)])
@pytest.mark.parametrize('size', [(3, 4), (5, 2), (1, 1), (2, 9), (10, 3)])
def test_against_a_loop(kwargs, size):
    net = trained(**kwargs).double()
    net.start = kwargs.get('prior', 'bilinear')
    images = torch.rand(2, net.in_channels, 20, 6).double() * 200 - 30
    expected, coefficients = naive(net, images, size)
    torch.testing.assert_close(net(images, size), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(net.coefficients(images, size), coefficients, rtol=0,
                               atol=1e-4)


def neighbourhood(size_out: int, size_in: int) -> list[slice]:
    """The input pixels that each output pixel is made of, along one axis."""
    step = size_in / size_out
    reach = max(1, step / 2 - 1)
    # A hair's breadth wider, for points that fall exactly on a pixel.
    return [slice(max(math.ceil(i * step - 0.5 - reach - 1e-4), 0),
                  math.floor((i + 1) * step - 0.5 + reach + 1e-4) + 1) for i in range(size_out)]


def extremes(images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The least and the greatest pixel (N, C, h, w) that each output pixel is made of."""
    rows, columns = (neighbourhood(*sizes) for sizes in zip(size, images.shape[2:]))
    blocks = [images[:, :, row, column].flatten(2) for row in rows for column in columns]
    return tuple(torch.stack([getattr(block, name)(2) for block in blocks], -1)
                 .unflatten(2, size) for name in ('amin', 'amax'))


@given(*4 * [st.integers(1, 16)], st.sampled_from(['bilinear', 'antialias']), st.integers(1, 5),
       st.booleans())
def test_is_convex(height, width, h, w, prior, channels, learned):
    net = (trained if learned else DownsizeNetV2)(prior=prior, in_channels=channels)
    images = torch.rand(1, channels, height, width) * 255
    coefficients = net.coefficients(images, (h, w))
    assert coefficients.shape == (1, 9, h, w) and coefficients.min() >= 0
    torch.testing.assert_close(coefficients.sum(1), torch.ones(1, h, w))
    out = net(images, (h, w)).detach()
    assert out.shape == (1, channels, h, w)
    least, greatest = extremes(images, (h, w))
    assert (out >= least - 1e-3).all() and (out <= greatest + 1e-3).all()


@given(*4 * [st.integers(1, 16)])
def test_starts_as_bilinear_interpolation_down_to_a_quarter(height, width, h, w):
    images = torch.rand(2, 3, min(height, 4 * h), min(width, 4 * w)) * 255
    difference = DownsizeNetV2()(images, (h, w)) - F.interpolate(images, (h, w), mode='bilinear')
    least, greatest = extremes(images, (h, w))
    # Eight other samples have a thousandth of the centre's coefficient each.
    assert (difference.abs() <= 0.008 * (greatest - least) + 1e-3).all()


@given(st.integers(3, 16), st.integers(3, 16))
def test_starts_as_antialiased_interpolation_at_half_the_size(h, w):
    images = torch.rand(2, 3, 2 * h, 2 * w) * 255
    reference = F.interpolate(images, (h, w), mode='bilinear', antialias=True)
    difference = (DownsizeNetV2(prior='antialias')(images, (h, w)) - reference).abs()
    least, greatest = extremes(images, (h, w))
    # Beyond the edge ours repeats the edge, and the other one has nothing.
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert (difference <= 0.008 * (greatest - least) + 1e-3)[inner].all()


@pytest.mark.parametrize('folder', ['bccd/JPEGImages', 'drive/images/training',
                                    'camvid/img_dir/val', 'fod/JPEGImages'])
@pytest.mark.parametrize('scale, share', [(0.6, 0.03), (0.4, 0.03), (0.25, 0.03), (0.2, 0.5),
                                          (0.1, 0.8)])
def test_starts_at_other_ratios(folder, scale, share, data_root):
    """How far its start is from interpolation, as a share of how far antialiasing moves it."""
    file = sorted((data_root / folder).iterdir())[0]
    images = torch.from_numpy(cv2.imread(str(file))).permute(2, 0, 1)[None].float()
    size = OutputSize(scale=scale)(*images.shape[2:])
    crisp, smooth = (F.interpolate(images, size, mode='bilinear', antialias=antialias)
                     for antialias in (False, True))
    moved = (smooth - crisp).abs().mean()
    started = {prior: DownsizeNetV2(prior=prior)(images, size).detach()
               for prior in DownsizeNetV2.PRIORS}
    assert (started['bilinear'] - crisp).abs().mean() < share * moved
    assert (started['antialias'] - smooth).abs().mean() < 0.5 * moved
    assert (started['antialias'] - crisp).abs().mean() > 0.5 * moved


def test_an_untrained_networks_coefficients_are_its_prior():
    images = torch.rand(2, 3, 20, 30)
    for name in DownsizeNetV2.PRIORS:
        net = DownsizeNetV2(prior=name)
        prior = net.prior(images, (7, 5))
        torch.testing.assert_close(net.coefficients(images, (7, 5)),
                                   prior.expand(2, -1, -1, -1))
        torch.testing.assert_close(prior.sum(0), torch.ones(7, 5))


@given(side, side, side, side, st.floats(-255, 255), st.integers(1, 5))
def test_flat_images_stay_flat(height, width, h, w, value, channels):
    images = torch.full((2, channels, height, width), value)
    out = trained(in_channels=channels)(images, (h, w))
    torch.testing.assert_close(out, torch.full((2, channels, h, w), value))


@pytest.mark.parametrize('size', [(20, 21), (9, 11), (50, 70)])
def test_value_range_does_not_matter(size):
    net, images = trained().double(), 255 * torch.rand(2, 3, 40, 42).double()
    out = net(images, size)
    # A power of two: nothing is rounded but the order of sums, which depends on the alignment.
    torch.testing.assert_close(net(images / 256, size), out / 256, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(net(3 * images, size), 3 * out)
    for shift in (-100., 40., 1000.):
        difference = (net(images + shift, size) - (out + shift)).abs()
        assert difference.max() < 1e-3 * (255 + abs(shift))


def test_images_of_a_batch_do_not_meet():
    net, images = trained().double(), torch.rand(3, 3, 20, 20).double()
    alone = torch.cat([net(image[None], (9, 11)) for image in images])
    torch.testing.assert_close(net(images, (9, 11)), alone)


@pytest.mark.parametrize('learns', [True, False])
def test_bytes_are_floats(learns):
    net = trained().requires_grad_(learns)
    images = torch.randint(256, (2, 3, 41, 30), dtype=torch.uint8)
    assert torch.equal(net(images, (17, 15)), net(images.float(), (17, 15)))


def test_layout_does_not_matter():
    net, images = trained(), torch.rand(2, 3, 20, 30)
    expected = net(images, (9, 11))
    for other in (images.contiguous(memory_format=torch.channels_last),
                  images.mT.contiguous().mT, images.repeat(1, 1, 1, 2)[..., 30:]):
        torch.testing.assert_close(net(other, (9, 11)), expected)


# Height and width, those of the output, and where a part of each begins and ends.
@pytest.mark.parametrize('length, size, part, output_part', [
    (100, 40, (25, 80), (10, 32)), (96, 48, (22, 80), (11, 40)), (160, 10, (32, 144), (2, 9)),
    (60, 90, (20, 52), (30, 78))])
def test_crops_give_the_same_pixels(length, size, part, output_part):
    net, images = trained(), torch.rand(1, 3, length, length)
    whole = net(images, (size, size))
    cropped = images[:, :, slice(*part), slice(*part)]
    inner = slice(2, -2)  # a border as wide as it looks
    expected = whole[:, :, slice(*output_part), slice(*output_part)][:, :, inner, inner]
    count = output_part[1] - output_part[0]
    found = net(cropped, (count, count))[:, :, inner, inner]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@given(st.integers(1, 3), side, side, side, side, st.sampled_from([1, 30, 400]), st.booleans(),
       st.integers(1, 3))
def test_bands_are_the_whole(n, height, width, h, w, pixels, as_bytes, channels):
    net = trained(in_channels=channels).double()
    images = 255 * torch.rand(n, channels, height, width)
    images = images.byte() if as_bytes else images.double()
    expected = net(images, (h, w)).detach()
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(DownsizeNetV2, '_PIXELS', pixels)
        torch.testing.assert_close(net(images, (h, w)), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize('size_in, size_out', [
    ((300, 300), (160, 160)), ((720, 1280), (360, 640)), ((513, 2500), (179, 1000)),
    ((1600, 1600), (100, 100)), ((200, 300), (400, 600))])
def test_bands_at_real_sizes_in_single_precision(size_in, size_out):
    net, images = trained(), 255 * torch.rand(1, 3, *size_in)
    expected = net(images, size_out).detach()
    with torch.no_grad():
        torch.testing.assert_close(net(images, size_out), expected, rtol=0, atol=255e-5)


def test_the_image_does_not_set_the_memory(monkeypatch):
    """No map as large as the image is made but the image itself and the output."""
    monkeypatch.setattr(DownsizeNetV2, '_PIXELS', 200)
    net = trained()
    images = torch.randint(256, (1, 3, 200, 300), dtype=torch.uint8)
    assert largest_map(net, images, (60, 70)) < 4 * 3 * 200 * 300 / 4


def test_what_inference_mode_keeps_serves_training():
    net, images = trained(), torch.rand(1, 3, 20, 20)
    with torch.inference_mode():
        expected = net(images, (9, 9))
    out = net(images.requires_grad_(), (9, 9))
    out.sum().backward()
    torch.testing.assert_close(out.detach(), expected)
    out = net.requires_grad_(False)(images.detach(), (9, 9))
    torch.testing.assert_close(out, expected)
    assert not out.is_inference()


@pytest.mark.parametrize('net', [trained, DownsizeNetV2], ids=['trained', 'untrained'])
@pytest.mark.parametrize('size', [(3, 2), (2, 5)])
def test_gradients_against_finite_differences(net, size):
    net = net(channels=2).double()
    images = torch.rand(1, 3, 6, 4).double().requires_grad_()
    names, values = zip(*net.named_parameters())
    assert torch.autograd.gradcheck(
        lambda images, *values: torch.func.functional_call(
            net, dict(zip(names, values)), (images, size)),
        (images, *(v.detach().requires_grad_() for v in values)), atol=1e-4)


def test_gradient_reaches_every_weight():
    net, images = DownsizeNetV2(), torch.rand(2, 3, 20, 30)
    weight = torch.rand(2, 3, 9, 11)
    (net(images, (9, 11)) * weight).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in net.logits.parameters())
    torch.nn.init.normal_(net.logits.weight)
    net.zero_grad()
    (net(images, (9, 11)) * weight).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())
    assert sum(p.requires_grad for p in net.parameters()) == 6


@pytest.mark.parametrize('size_in, size_out, prior', [
    ((12, 12), (7, 5), 'bilinear'), ((15, 15), (5, 5), 'bilinear'), ((6, 6), (9, 9), 'bilinear'),
    ((12, 12), (6, 6), 'antialias')])
def test_learns_from_its_start(size_in, size_out, prior):
    """It learns to take the brightest of its samples."""
    net = DownsizeNetV2(prior=prior)
    images = torch.rand(8, 3, *size_in)
    images[:] = images[:, :1]  # grey
    samples = F.interpolate(images, (2 * size_out[0], 2 * size_out[1]), mode='bilinear')
    target = F.max_pool2d(samples, 2)
    start = F.mse_loss(net(images, size_out), target).item()
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(100):
        loss = F.mse_loss(net(images, size_out), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * start


@pytest.mark.parametrize('dtype', HALF)
@pytest.mark.parametrize('scale', [1, 255])
def test_autocast(dtype, scale):
    net, images = DownsizeNetV2(), scale * torch.rand(2, 3, 40, 41)
    torch.nn.init.normal_(net.logits.weight, std=0.3)
    exact = net(images, (20, 19)).detach()
    with torch.autocast('cpu', dtype):
        whole = net(images, (20, 19)).detach()
        with torch.no_grad():
            bands = net(images, (20, 19))
    for out in (whole, bands):
        torch.testing.assert_close(out.float(), exact, rtol=0,
                                   atol=scale * 10 * torch.finfo(dtype).eps)


@pytest.mark.parametrize('dtype', HALF)
@pytest.mark.parametrize('images', [
    torch.arange(1, 4921).view(1, 3, 40, 41) ** 2 % 256., torch.zeros(1, 3, 40, 40),
    torch.full((1, 3, 30, 30), 117.), 255. * torch.arange(2).repeat(1, 3, 40, 20)],
    ids=['noise', 'black', 'flat', 'stripes'])
def test_half_precision(dtype, images):
    net = DownsizeNetV2()
    torch.nn.init.normal_(net.logits.weight, std=0.3)
    exact = net(images, (20, 19)).detach()
    with torch.no_grad():
        out = net.to(dtype)(images.to(dtype), (20, 19))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), exact, rtol=0,
                               atol=255 * 20 * torch.finfo(dtype).eps)


def test_copies_and_files_are_the_same_network():
    net, images = trained(channels=5, prior='antialias'), torch.rand(1, 3, 20, 20)
    other = DownsizeNetV2(channels=5, prior='antialias')
    other.load_state_dict(net.state_dict())
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), other):
        assert torch.equal(copied(images, (9, 9)), net(images, (9, 9)))
    # The prior is an argument, as all others.
    assert net.state_dict().keys() == dict(net.named_parameters()).keys()


def test_parameters_have_no_integer_buffers_or_scalars():
    net = DownsizeNetV2()
    assert all(buffer.is_floating_point() for buffer in net.buffers())
    assert all(p.dim() > 0 for p in net.parameters())
    # 3x3 samples of 3 channels -> 16, 3x3 of 16 -> 16, 16 -> 9 coefficients.
    assert sum(p.numel() for p in net.parameters()) == 16 * 28 + 16 * 145 + 9 * 17


@pytest.mark.parametrize('kwargs, message', [
    (dict(channels=0), 'channels must be a positive integer, got 0'),
    (dict(in_channels=-1), 'in_channels'),
    (dict(prior='nearest'), "prior must be one of .*'bilinear', 'antialias'.*, got 'nearest'"),
    (dict(prior=None), 'got None'),
    (dict(weights='camvid-deeplabv3plus'), "are of DownsizeNet\\(.*another network"),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DownsizeNetV2(**kwargs)


@pytest.mark.parametrize('images, size, error, message', [
    (torch.rand(1, 1, 4, 4), (2, 2), ValueError, '1 channels.*takes 3.*in_channels=1'),
    (torch.rand(3, 4, 4), (2, 2), ValueError, r'\(N, C, H, W\), got shape \(3, 4, 4\)'),
    (torch.zeros(1, 3, 4, 4).long(), (2, 2), TypeError, 'int64'),
    (torch.rand(1, 3, 0, 4), (2, 2), ValueError, 'empty'),
    (torch.rand(1, 3, 4, 4), (2, 0), ValueError, 'positive'),
    (torch.rand(1, 3, 4, 4), (2.0, 2), TypeError, 'integers'),
])
def test_bad_inputs(images, size, error, message):
    net = DownsizeNetV2()
    for call in (net, net.coefficients):
        with pytest.raises(error, match=message):
            call(images, size)

"""DownsizeNet in bands against every layer on the whole image: the same weights and results."""
from dsnet_mm.resizers import DownsizeNet
from dsnet_mm.resizers.downsizenet import mean_and_variance
from dsnet_mm.resizers.ops import bands
from dsnet_mm.resizers.ops.sampling import project

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from storages import largest_map

OLD = torch.__version__ < '2.2'
HALF = [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.skipif(
    OLD, reason='PyTorch 2.1 has no float16 on the CPU'))]
side = st.integers(1, 60)
ratio = st.integers(1, 5)
KWARGS = st.fixed_dictionaries(dict(
    num_convs=st.sampled_from([2, 3, 4]), activation=st.sampled_from(DownsizeNet.ACTIVATIONS),
    bilinear_prior=st.booleans(), use_distance=st.booleans()))


def trained(**kwargs) -> DownsizeNet:
    net = DownsizeNet(**kwargs)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net


@pytest.fixture
def narrow_bands(monkeypatch):
    monkeypatch.setattr(DownsizeNet, '_PIXELS', 200)


def check_agreement(net, images, size, tolerance):
    expected = net.plain(images, size).detach()
    with torch.no_grad():
        torch.testing.assert_close(net(images, size), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(net(images, size).detach(), expected, rtol=0, atol=tolerance)


@given(KWARGS, st.integers(1, 3), side, side, side, side, st.booleans(),
       st.sampled_from([50, 300, 2000]))
def test_any_sizes(kwargs, n, height, width, h, w, as_bytes, budget):
    images = 255 * torch.rand(n, 3, height, width)
    images = images.byte() if as_bytes else images.double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DownsizeNet, '_PIXELS', budget)
        check_agreement(trained(**kwargs).double(), images, (h, w), 1e-8)


@given(KWARGS, ratio, ratio, st.integers(1, 20), st.integers(1, 20), st.sampled_from([50, 2000]))
def test_whole_ratios(kwargs, ratio_y, ratio_x, h, w, budget):
    images = 255 * torch.rand(2, 3, h * ratio_y, w * ratio_x).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DownsizeNet, '_PIXELS', budget)
        check_agreement(trained(**kwargs).double(), images, (h, w), 1e-8)


@pytest.mark.parametrize('size_in, size_out', [
    ((300, 300), (160, 160)), ((768, 768), (230, 230)), ((720, 1280), (360, 640)),
    ((513, 2500), (179, 1000))])
def test_real_sizes_in_single_precision(size_in, size_out):
    net = DownsizeNet()
    torch.nn.init.normal_(net.logits.weight, std=0.3)
    check_agreement(net, 255 * torch.rand(1, 3, *size_in), size_out, 255e-5)


@pytest.mark.parametrize('dtype', HALF)
def test_autocast(dtype, narrow_bands):
    net, images = DownsizeNet(), torch.rand(2, 3, 40, 41)
    torch.nn.init.normal_(net.logits.weight, std=0.3)
    exact = net.plain(images, (20, 19)).detach()
    with torch.autocast('cpu', dtype), torch.no_grad():
        fast, plain = net(images, (20, 19)), net.plain(images, (20, 19))
    for out in (fast, plain):  # some ten roundings of values about 1
        torch.testing.assert_close(out.float(), exact, rtol=0,
                                   atol=10 * torch.finfo(dtype).eps)


def test_bands_serve_with_autocast_and_without(narrow_bands):
    net, images = trained(), torch.rand(1, 3, 40, 41)
    expected = net.plain(images, (20, 19)).detach()
    for enabled in (True, False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled), torch.no_grad():
            out = net(images, (20, 19))
        torch.testing.assert_close(out, expected, rtol=0, atol=0.1 if enabled else 1e-5)


@pytest.mark.parametrize('dtype', HALF)
def test_half_precision(dtype, narrow_bands):
    net, images = DownsizeNet(), 255 * torch.rand(2, 3, 40, 41)
    torch.nn.init.normal_(net.logits.weight, std=0.3)
    exact = net(images, (20, 19)).detach()
    with torch.no_grad():
        out = net.to(dtype)(images.to(dtype), (20, 19))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), exact, rtol=0,
                               atol=255 * 10 * torch.finfo(dtype).eps)


@pytest.mark.parametrize('size', [(6, 7), (4, 7), (5, 3)], ids=['strided', 'mixed', 'selected'])
def test_gradients_against_finite_differences(size):
    net = trained(channels=3).double()
    images = torch.rand(2, 3, 12, 14).double().requires_grad_()
    names, values = zip(*net.named_parameters())
    assert torch.autograd.gradcheck(
        lambda images, *values: torch.func.functional_call(
            net, dict(zip(names, values)), (images, size)),
        (images, *(v.detach().requires_grad_() for v in values)), atol=1e-4)


@pytest.mark.parametrize('size', [(12, 14), (10, 9)])
def test_gradients_are_those_of_the_plain_way(size):
    net, images = trained().double(), torch.rand(2, 3, 24, 28).double()
    weight = torch.rand(2, 3, *size)
    fast, plain = (torch.autograd.grad((way(images, size) * weight).sum(), list(net.parameters()))
                   for way in (net, net.plain))
    torch.testing.assert_close(fast, plain)


def test_checkpointing_keeps_less_and_learns_the_same():
    net, images = trained().double(), torch.rand(2, 3, 64, 64).double()
    kept = {}
    gradients = []
    for net.with_cp in (False, True):
        sizes = kept[net.with_cp] = []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda t, sizes=sizes: (sizes.append(t.numel()), t)[1], lambda t: t):
            out = net(images, (30, 31))
        gradients.append(torch.autograd.grad(out.square().sum(), list(net.parameters())))
    torch.testing.assert_close(*gradients)
    assert sum(kept[True]) < 0.2 * sum(kept[False])


def test_the_image_does_not_set_the_memory(narrow_bands):
    """No map as large as the image is made but the image itself and the output."""
    net = trained()
    images = torch.randint(256, (1, 3, 200, 300), dtype=torch.uint8)
    assert largest_map(net, images, (60, 70)) < 4 * 3 * 200 * 300 / 2


def test_what_inference_mode_keeps_serves_training():
    net, images = trained(), torch.rand(1, 3, 20, 20)
    with torch.inference_mode():
        net(images, (9, 9))
    net(images, (9, 9)).sum().backward()
    with torch.no_grad():
        net(images, (9, 9))


def test_bands_cover_the_output_once():
    found = bands.cut(project, (700, 5000), (333, 1700), 9, 2, torch.float32, torch.device('cpu'))
    count = torch.zeros(333)
    for band in found:
        count[band.rows] += 1
        height = band.input_rows.stop - band.input_rows.start
        assert height <= 9 * 700 / 333 + 2 + 2 * 2
    assert (count == 1).all() and len(found) == 37


@given(st.integers(1, 3), side, side, st.integers(1, 70))
def test_mean_and_variance(n, height, width, rows):
    images = torch.rand(n, 3, height, width).double() * 100 + 1000
    mean, variance = mean_and_variance(images.split(rows, dim=2))
    torch.testing.assert_close((variance, mean), torch.var_mean(
        images, dim=(2, 3), correction=0, keepdim=True))


@pytest.mark.skipif(OLD, reason='PyTorch 2.1 cannot compile a search in a shape')
def test_compiles_whole_for_all_sizes():
    torch._dynamo.reset()  # what other tests compiled counts towards its limit
    net = trained()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend='eager')
    for size_in, size_out in [((40, 50), (21, 23)), ((40, 40), (20, 20)), ((33, 64), (21, 23))]:
        images = torch.rand(2, 3, *size_in)
        torch.testing.assert_close(compiled(images, size_out), net(images, size_out))
        with torch.no_grad():
            torch.testing.assert_close(compiled(images, size_out), net(images, size_out),
                                       rtol=0, atol=1e-5)

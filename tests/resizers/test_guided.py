"""GuidedUpsampling against independent references: loops, F.interpolate, its own whole graph."""
import copy
import math

from dsnet_mm.resizers import GuidedUpsampling

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

side = st.integers(1, 9)


def trained(**kwargs) -> GuidedUpsampling:
    """A network far from its start."""
    net = GuidedUpsampling(**kwargs)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return net


def bytes_of(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def naive(net: GuidedUpsampling, small: Tensor, guide: Tensor,
          extent: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """One output pixel at a time, in double precision, from the layers' raw weights: the maps and
    the coefficients."""
    weight = {name: p.detach().double() for name, p in net.named_parameters()}
    kernel = weight['embedding.weight'] - weight['embedding.weight'].mean((2, 3), keepdim=True)
    n, _, height, width = guide.shape
    out = torch.zeros(n, small.shape[1], height, width, dtype=torch.double)
    coefficients = torch.zeros(n, 9, height, width, dtype=torch.double)

    def near(index, size):
        return [min(max(index + d, 0), size - 1) for d in (-1, 0, 1)]

    def embedded(image, y, x):
        # Beyond the border the image goes on as it ends; convolutions see what lies there.
        rows, columns = ([min(max(p + d, 0), size - 1) for d in (-1, 0, 1)]
                         for p, size in ((y, height), (x, width)))
        window = image[:, rows][:, :, columns]
        contrast = torch.einsum('ocyx,cyx->o', kernel, window)
        power = (contrast**2).mean() + 1e-6 * (window[:, 1, 1]**2).mean()
        contrast = contrast / power.sqrt() if power > 0 else contrast
        return (contrast + weight['embedding.bias']).clamp(min=0)

    for k in range(n):
        for y in range(height):
            for x in range(width):
                window = torch.stack([torch.stack([
                    embedded(guide[k].double(), y + i, x + j) for j in (-1, 0, 1)], -1)
                    for i in (-1, 0, 1)], -2)
                feature = torch.einsum('oiyx,iyx->o', weight['context.weight'], window)
                neighbours, priors, place = [], [], []
                for p, size, whole, shown in zip((y, x), (height, width), small.shape[2:], extent):
                    point = min(max((p + 0.5) * shown / size - 0.5, 0), whole - 1)
                    middle = math.floor(point + 0.5)
                    place.append(point - middle)
                    neighbours.append(near(middle, whole))
                    priors.append([max(0, 1 - abs(middle + d - point)) for d in (-1, 0, 1)])
                feature = feature + weight['context.bias'] + weight['place.weight'] @ (
                    torch.tensor(place, dtype=torch.double))
                logits = weight['logits.weight'][:, :, 0, 0] @ feature.clamp(min=0)
                logits = logits + weight['logits.bias']
                prior = torch.tensor([a * b for a in priors[0] for b in priors[1]]).double()
                gains = (prior + 1e-3) * logits.exp()
                coefficients[k, :, y, x] = gains / gains.sum()
                values = small[k].double()[:, neighbours[0]][:, :, neighbours[1]].flatten(1)
                out[k, :, y, x] = values @ coefficients[k, :, y, x]
    return out, coefficients


@pytest.mark.parametrize('kwargs, size_in, size_out, extent', [
    (dict(), (3, 4), (7, 9), None), (dict(channels=3), (2, 2), (9, 5), (1.7, 2)),
    (dict(channels=1, guide_channels=1), (1, 5), (4, 5), None)])
def test_against_a_loop(kwargs, size_in, size_out, extent):
    net = trained(**kwargs).double()
    small = torch.randn(2, 4, *size_in).double()
    guide = torch.rand(2, net.guide_channels, *size_out).double() * 200 - 30
    expected, coefficients = naive(net, small, guide, extent or small.shape[2:])
    torch.testing.assert_close(net(small, guide, extent), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(net.coefficients(small, guide, extent), coefficients, rtol=0,
                               atol=1e-5)


@given(side, side, st.floats(1, 5), st.floats(1, 5), st.sampled_from([None, 1, 2, 3]))
def test_starts_as_bilinear_interpolation(h, w, y, x, density):
    net = GuidedUpsampling(density=density)
    small, guide = torch.randn(2, 3, h, w), bytes_of(2, 3, round(h * y), round(w * x))
    expected = F.interpolate(small, guide.shape[2:], mode='bilinear')
    most = small.amax() - small.amin()
    # At most eight of nine coefficients are zero in bilinear interpolation: they get 0.001 each.
    assert (net(small, guide) - expected).abs().max() <= 0.008 * most + 1e-5
    net._LEAK = 1e-30
    torch.testing.assert_close(net(small, guide), expected, rtol=0, atol=1e-5)


@given(side, side, st.floats(1, 5), st.floats(1, 5), st.sampled_from([None, 1, 2, 3]))
def test_is_convex_and_the_same_in_bands(h, w, y, x, density):
    net = trained(density=density)
    small, guide = torch.randn(2, 3, h, w), bytes_of(2, 3, round(h * y), round(w * x))
    coefficients = net.coefficients(small, guide)
    assert coefficients.min() >= 0
    torch.testing.assert_close(coefficients.sum(1), torch.ones(2, *guide.shape[2:]))
    whole = net(small, guide)
    torch.testing.assert_close(net(torch.ones_like(small), guide), torch.ones_like(whole))
    net._PIXELS = 2 * 3 * guide.shape[3]
    with torch.inference_mode():
        torch.testing.assert_close(net(small, guide), whole, rtol=0, atol=1e-5)
    # Each within its nearest nine.
    highest, lowest = (sign * F.interpolate(F.max_pool2d(sign * small, 3, 1, 1), guide.shape[2:],
                                            mode='nearest-exact') for sign in (1, -1))
    assert (whole <= highest + 1e-5).all() and (whole >= lowest - 1e-5).all()


@pytest.mark.parametrize('density', [None, 2])
def test_some_rows(density):
    net = trained(density=density)
    small, guide = torch.randn(1, 2, 6, 8), bytes_of(1, 3, 20, 30)
    whole = net(small, guide)
    for rows in (slice(0, 7), slice(7, 20), slice(0, 20)):
        torch.testing.assert_close(net(small, guide, rows=rows), whole[:, :, rows])
        with torch.no_grad():
            torch.testing.assert_close(net(small, guide, rows=rows), whole[:, :, rows])


@pytest.mark.parametrize('density', [None, 2])
def test_only_texture_counts(density):
    net = trained(density=density).double()
    small, guide = torch.randn(1, 2, 6, 8).double(), torch.rand(1, 3, 20, 30).double()
    expected = net(small, guide)
    torch.testing.assert_close(net(small, 255 * guide), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(net(small, guide + 0.5), expected, rtol=0, atol=1e-4)


def test_a_crop_gives_the_same_pixels():
    net = trained()
    small, guide = torch.randn(1, 2, 12, 12), bytes_of(1, 3, 36, 48)
    part = net(small[:, :, 3:9, 2:10], guide[:, :, 9:27, 8:40])
    torch.testing.assert_close(part[..., 3:-3, 4:-4], net(small, guide)[..., 12:24, 12:36],
                               rtol=0, atol=1e-5)


def test_the_extent_is_the_part_that_the_image_shows():
    net = trained()
    small, guide = torch.randn(1, 2, 6, 8), bytes_of(1, 3, 15, 40)
    # Four rows are shown; those beyond are among the nearest of the last rows alone.
    part, cut = net(small, guide, (4, 8)), net(small[:, :, :4], guide)
    torch.testing.assert_close(part[:, :, :11], cut[:, :, :11])
    assert (part - cut).abs().max() > 1e-3


@pytest.mark.parametrize('density', [None, 2])
def test_gradients(density):
    net = trained(channels=3, density=density).double()
    small = torch.randn(2, 2, 2, 3).double().requires_grad_()
    guide = torch.rand(2, 3, 5, 7).double().requires_grad_()
    names = list(dict(net.named_parameters()))

    def call(small, guide, *parameters):
        return torch.func.functional_call(net, dict(zip(names, parameters)), (small, guide))

    assert torch.autograd.gradcheck(call, (small, guide, *net.parameters()))


def test_black_and_flat_images_have_finite_gradients():
    for value in (0, 200):
        net = trained()
        guide = torch.full((1, 3, 9, 9), float(value), requires_grad=True)
        net(torch.randn(1, 2, 3, 3), guide).square().sum().backward()
        assert all(t.grad.isfinite().all() for t in (guide, *net.parameters()))


def test_learns_where_edges_run():
    """Discs, averaged over 4x4 pixels and upsampled: better by far than interpolation."""
    def discs(number):
        y, x = torch.meshgrid(torch.arange(48.), torch.arange(48.), indexing='ij')
        centre, radius = 48 * torch.rand(number, 2, 1, 1), 6 + 10 * torch.rand(number, 1, 1)
        inside = (y - centre[:, 0])**2 + (x - centre[:, 1])**2 < radius**2
        labels = inside.float()[:, None]
        guide = 60 + 100 * labels * torch.rand(number, 3, 1, 1) + 3 * torch.randn(number, 3, 48, 48)
        return F.avg_pool2d(labels, 4), guide, labels

    net = GuidedUpsampling()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        small, guide, labels = discs(4)
        optimizer.zero_grad()
        F.mse_loss(net(small, guide), labels).backward()
        optimizer.step()
    small, guide, labels = discs(16)
    with torch.no_grad():
        learned = F.mse_loss(net(small, guide), labels)
    assert learned < 0.6 * F.mse_loss(F.interpolate(small, (48, 48), mode='bilinear'), labels)


def test_copies_are_equal_and_start_anew():
    net = trained()
    small, guide = torch.randn(1, 2, 6, 8), bytes_of(1, 3, 20, 30)
    assert torch.equal(copy.deepcopy(net)(small, guide), net(small, guide))
    net.reset_parameters()
    assert (net(small, guide) - F.interpolate(small, (20, 30), mode='bilinear')).abs().max() < 0.05


@pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'), reason='PyTorch before 2.7')
@pytest.mark.parametrize('density', [None, 2])
def test_one_graph_for_all_sizes(density, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    net = trained(density=density).requires_grad_(False)
    # Further away rounding errors of sizes, relative to the leak, show.
    torch.nn.init.normal_(net.logits.weight, std=0.2)
    anything = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(
        net, (torch.rand(2, 5, 20, 24), torch.rand(2, 3, 64, 80)), strict=True,
        dynamic_shapes=dict(small=anything, guide=anything))
    torch.onnx.export(program, dynamo=True, input_names=['small', 'guide'], opset_version=20,
                      verbose=False).save(tmp_path / 'guided.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'guided.onnx')
    for size_in, size_out in (((7, 9), (30, 31)), ((30, 40), (100, 133)), ((33, 20), (66, 66))):
        inputs = dict(small=torch.rand(3, 5, *size_in), guide=255 * torch.rand(3, 3, *size_out))
        expected = net(*inputs.values())
        # Contrast relative to little power has large rounding errors.
        torch.testing.assert_close(program.module()(*inputs.values()), expected, rtol=0, atol=5e-4)
        [found] = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=5e-4)


def test_compiled_it_is_the_same():
    net = trained()
    small, guide = torch.randn(2, 3, 7, 9), bytes_of(2, 3, 23, 20)
    compiled = torch.compile(net, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(small, guide), net(small, guide))


def test_bad_arguments():
    for argument in ('guide_channels', 'channels', 'density'):
        with pytest.raises(ValueError, match=f'{argument} must be a positive integer, got 0'):
            GuidedUpsampling(**{argument: 0})


@pytest.mark.parametrize('small, guide, extent, error, message', [
    ((1, 2, 4, 4), (1, 3, 3, 9), None, ValueError, 'must not be smaller.*F.interpolate'),
    ((1, 2, 4, 4), (2, 3, 8, 8), None, ValueError, 'got 1 maps for 2 input images'),
    ((1, 2, 4, 4), (1, 4, 8, 8), None, ValueError, '4 channels, this network takes 3'),
    ((1, 2, 4, 4), (3, 8, 8), None, ValueError, r'\(N, C, H, W\)'),
    ((1, 2, 4), (1, 3, 8, 8), None, ValueError, r'\(N, C, H, W\)'),
    ((1, 0, 4, 4), (1, 3, 8, 8), None, ValueError, 'empty'),
    ((1, 2, 4, 4), (1, 3, 8, 8), (5, 4), ValueError, r'extent .*\(4, 4\).* got \(5, 4\)'),
    ((1, 2, 4, 4), (1, 3, 8, 8), (4, 0), ValueError, r'extent .* got \(4, 0\)'),
])
def test_bad_inputs(small, guide, extent, error, message):
    with pytest.raises(error, match=message):
        GuidedUpsampling()(torch.rand(small), torch.rand(guide), extent)


def test_maps_must_be_floating_point():
    with pytest.raises(TypeError, match='maps must be a floating-point.* got torch.uint8'):
        GuidedUpsampling()(bytes_of(1, 2, 4, 4), bytes_of(1, 3, 8, 8))

from dsnet_mm.resizers.ops import sampling

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

length = st.integers(1, 400)


def interpolated(values, axis):
    return (values[axis.neighbours] * axis.weights).sum(dim=0)


@given(length, length)
def test_bilinear_geometry_is_that_of_interpolate(size_in, size_out):
    ramp = torch.arange(size_in, dtype=torch.float32)
    axis = sampling.project((1, size_in), (1, size_out)).x
    reference = F.interpolate(ramp[None, None], size_out, mode='linear')[0, 0]
    torch.testing.assert_close(interpolated(ramp, axis), reference, rtol=1e-6, atol=1e-5)
    assert axis.fraction.min() >= 0 and axis.fraction.max() <= 1


@given(length, length, st.sampled_from([0, 2, 4]))
def test_dense_points_up_to_two_pixels_apart_are_interpolated_linearly(size_in, size_out, margin):
    size_out = max(size_out, -(-size_in // 4))
    noise = torch.rand(size_in, generator=torch.Generator().manual_seed(0))
    edges, centres = interpolated(noise, sampling.dense(size_in, size_out, margin)).chunk(2)
    beyond = margin // 2
    for found, points in ((edges, np.arange(-beyond, size_out + beyond + 1)),
                          (centres, np.arange(-beyond, size_out + beyond + 1) + 0.5)):
        points = points.clip(0, size_out) * size_in / size_out - 0.5
        expected = np.interp(points, np.arange(size_in), noise.numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_dense_points_further_apart_are_antialiased():
    axis = sampling.dense(40, 4, margin=0)
    # Of points 5 pixels apart, the first centre, behind five edges, falls on 4.5.
    assert axis.neighbours[:, 5].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    torch.testing.assert_close(axis.weights[:, 5], torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 32)


@pytest.mark.parametrize('size_in, size_out', [(1920, 1079), (7680, 4096), (7681, 1234)])
def test_fractions_agree_far_from_the_origin(size_in, size_out):
    noise = torch.rand(size_in)
    axis = sampling.project((1, size_in), (1, size_out)).x
    reference = F.interpolate(noise[None, None, None], (1, size_out), mode='bilinear')[0, 0, 0]
    torch.testing.assert_close(interpolated(noise, axis), reference, rtol=0, atol=1e-5)


@given(length, length)
def test_nearest_is_nearest_exact(size_in, size_out):
    ramp = torch.arange(size_in, dtype=torch.float64)
    reference = F.interpolate(ramp[None, None], size_out, mode='nearest-exact')[0, 0]
    assert torch.equal(ramp[sampling.nearest(size_in, size_out)], reference)


def test_distances_and_weights_of_a_known_point():
    # Of 3 x 4 pixels, one output pixel falls on (1, 1.5).
    grid = sampling.project((3, 4), (1, 1))
    assert grid.prior().flatten().tolist() == [0.5, 0.5, 0, 0]
    expected = [0.5, 0.5, 1.25**0.5, 1.25**0.5]
    torch.testing.assert_close(grid.distances().flatten(), torch.tensor(expected))

import math

from dsnet_mm.resizers import sampling

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


@given(length, length)
def test_auto_window_is_that_of_antialiasing(size_in, size_out):
    noise = torch.rand(size_in, generator=torch.Generator().manual_seed(0))
    axis = sampling.project((1, size_in), (1, size_out), window='auto').x
    reference = F.interpolate(noise[None, None, None], (1, size_out), mode='bilinear',
                              antialias=True)[0, 0, 0]
    torch.testing.assert_close(interpolated(noise, axis), reference, rtol=0, atol=1e-5)
    assert len(axis.neighbours) == 2 * max(1, math.ceil(size_in / size_out))


def test_a_window_too_small_for_antialiasing_stretches_as_far_as_it_reaches():
    axis = sampling.project((1, 40), (1, 4), window=4).x
    # Output pixel 1 falls on 14.5: halfway between the second and the third of four taps.
    assert axis.neighbours[:, 1].tolist() == [13, 14, 15, 16]
    torch.testing.assert_close(axis.weights[:, 1], torch.tensor([1, 3, 3, 1]) / 8)


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

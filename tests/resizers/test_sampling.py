from dsnet_mm.resizers import sampling

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

length = st.integers(1, 400)


@given(length, length)
def test_bilinear_geometry_is_that_of_interpolate(size_in, size_out):
    ramp = torch.arange(size_in, dtype=torch.float32)
    axis = sampling.project((1, size_in), (1, size_out), like=ramp).x
    ours = ramp[axis.lower] + axis.fraction * (ramp[axis.upper] - ramp[axis.lower])
    reference = F.interpolate(ramp[None, None], size_out, mode='linear')[0, 0]
    torch.testing.assert_close(ours, reference, rtol=1e-6, atol=1e-5)
    assert axis.fraction.min() >= 0 and axis.fraction.max() <= 1
    assert (axis.upper - axis.lower).abs().max() <= 1


@pytest.mark.parametrize('size_in, size_out', [(1920, 1079), (7680, 4096), (7681, 1234)])
def test_fractions_agree_far_from_the_origin(size_in, size_out):
    noise = torch.rand(size_in)
    axis = sampling.project((1, size_in), (1, size_out), like=noise).x
    ours = noise[axis.lower] * (1 - axis.fraction) + noise[axis.upper] * axis.fraction
    reference = F.interpolate(noise[None, None, None], (1, size_out), mode='bilinear')[0, 0, 0]
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)


@given(length, length)
def test_nearest_is_nearest_exact(size_in, size_out):
    ramp = torch.arange(size_in, dtype=torch.float64)
    reference = F.interpolate(ramp[None, None], size_out, mode='nearest-exact')[0, 0]
    assert torch.equal(ramp[sampling.nearest(size_in, size_out)], reference)


def test_distances_and_weights_of_a_known_point():
    # Of 3 x 4 pixels, one output pixel falls on (1, 1.5).
    grid = sampling.project((3, 4), (1, 1), like=torch.zeros(0))
    assert grid.bilinear_weights().flatten().tolist() == [0.5, 0.5, 0, 0]
    expected = [0.5, 0.5, 1.25**0.5, 1.25**0.5]
    torch.testing.assert_close(grid.distances().flatten(), torch.tensor(expected))

"""Convolutions at the projected points against those of the whole map."""
from dsnet_mm.resizers.ops import sampling
from dsnet_mm.resizers.ops.convolution import (
    padded_convolution,
    pooled_convolution,
    strided_convolution,
)
from dsnet_mm.resizers.ops.layers import floating_pooling

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

side = st.integers(1, 60)


@given(side, side, side, side)
def test_pooled_convolution(height, width, h, w):
    first, conv = (torch.nn.Conv2d(2, 2, 3, padding=1).double() for _ in range(2))
    features = torch.rand(2, 2, height, width).double()
    grid = sampling.project((height, width), (h, w))
    padded = padded_convolution(first, features)
    torch.testing.assert_close(padded, F.pad(first(features), (1, 1, 1, 1)))
    expected = floating_pooling(conv(first(features)), grid)
    torch.testing.assert_close(pooled_convolution(conv, padded, grid), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 7), st.integers(2, 7))
def test_strided_convolution(h, w, stride_y, stride_x):
    conv = torch.nn.Conv2d(2, 2, 3, padding=1).double()
    features = torch.rand(2, 2, h * stride_y, w * stride_x).double()
    grid = sampling.project(features.shape[2:], (h, w))
    torch.testing.assert_close(strided_convolution(conv, features, grid),
                               floating_pooling(conv(features), grid))

"""3x3 convolutions, with stride and padding 1, computed at the projected points only."""
from __future__ import annotations

from dsnet_mm.resizers.ops.graphs import is_exporting
from dsnet_mm.resizers.ops.sampling import Grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def strided_convolution(conv: nn.Conv2d, features: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)`` where the points have a stride along both axes."""
    y, x = grid
    # The first point's neighbourhood may begin outside.
    top, left = y.first - 1, x.first - 1
    convolved = F.conv2d(features[:, :, max(top, 0):, max(left, 0):], conv.weight, conv.bias,
                         (y.stride, x.stride), (int(top < 0), int(left < 0)))
    h, w = grid.size()
    return convolved[:, :, :h, :w]


def padded_convolution(conv: nn.Conv2d, features: Tensor) -> Tensor:
    """``conv(features)`` with a border of zeros (N, C, H + 2, W + 2), as
    :func:`pooled_convolution` takes it."""
    convolved = F.conv2d(features, conv.weight, conv.bias, padding=2)
    convolved[:, :, ::convolved.shape[2] - 1] = 0
    convolved[:, :, :, ::convolved.shape[3] - 1] = 0
    return convolved


def pooled_convolution(conv: nn.Conv2d, padded: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)`` at any points, from ``padded`` features (N, C,
    H + 2, W + 2) with a border of zeros; channels last is far faster."""
    three = torch.arange(3, device=padded.device)
    rows = (grid.y.lower()[:, None] + three).flatten()
    if is_exporting() or torch.jit.is_tracing():
        columns = (grid.x.lower()[:, None] + three).flatten()
        patches = padded.index_select(2, rows).index_select(3, columns)
    else:
        # Three pixels side by side are copied as one.
        pixels = padded.permute(0, 2, 3, 1).contiguous()
        n, height, width, channels = pixels.shape
        triples = pixels.as_strided((n * height * width - 2, 3 * channels), (channels, 1))
        images = torch.arange(0, n * height * width, height * width, device=padded.device)
        starts = images[:, None, None] + rows[:, None] * width + grid.x.lower()
        patches = triples.index_select(0, starts.flatten())
        patches = patches.view(n, len(rows), -1, channels).permute(0, 3, 1, 2)
    return F.conv2d(patches, conv.weight, conv.bias, stride=3)

"""The plain network's coefficients at less cost: the last 3x3 convolution at the projected points
only, and 1x1 convolutions as matrix products."""
from __future__ import annotations

from typing import Any, NamedTuple

from dsnet_mm.resizers.downsizenet_plain import (
    RISE,
    PlainDownsizeNet,
    multiply_prior,
    standardize,
)
from dsnet_mm.resizers.ops.graphs import is_exporting
from dsnet_mm.resizers.ops.layers import floating_pooling, interpolate
from dsnet_mm.resizers.ops.sampling import Grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Terms(NamedTuple):
    """Image-independent terms of the coefficients.

    Attributes:
        logits (Tensor): (4, h, w) the bias and the share of the distances in the logits.
        prior (Tensor, optional): (4, h, w) the bilinear weights plus ``RISE``.
    """
    logits: Tensor
    prior: Tensor | None


def resize(net: PlainDownsizeNet, images: Tensor, grid: Grid,
           statistics: tuple[Tensor, Tensor] | None = None, terms: Terms | None = None) -> Tensor:
    """Resizes images, or a part of them.

    Args:
        net (PlainDownsizeNet): The network.
        images (Tensor): (N, C, H, W), floating-point.
        grid (Grid): Where the output pixels fall in them.
        statistics (tuple[Tensor, Tensor], optional): Mean and variance (N, C, 1, 1) of the whole
            images; by default those of ``images``.
        terms (Terms, optional): Those of :func:`image_independent_terms`, if known already.

    Returns:
        Tensor: (N, C, h, w).
    """
    return interpolate(images, coefficients(net, images, grid, statistics, terms), grid)


def coefficients(net: PlainDownsizeNet, images: Tensor, grid: Grid,
                 statistics: tuple[Tensor, Tensor] | None = None,
                 terms: Terms | None = None) -> Tensor:
    """The coefficients (N, 4, h, w) of P1 to P4; arguments as in :func:`resize`."""
    logits, prior = terms or image_independent_terms(net, grid)
    logits = logits.expand(len(images), -1, -1, -1)
    if net.texture is not None:
        texture = standardize(images, *(statistics or mean_and_variance(images)))
        # Few channels are convolved far faster where they lie last in memory.
        texture = texture.contiguous(memory_format=torch.channels_last)
        texture = pooled_texture(net.texture, texture, grid)
        # The 1x1 convolution of channels that lie last: its result lies with them first.
        pixels = texture.permute(0, 2, 3, 1).flatten(1, 2)
        weight = net.logits.weight[:, :texture.shape[1], 0, 0].expand(len(images), -1, -1)
        logits = torch.baddbmm(logits.flatten(2), weight, pixels.transpose(1, 2)).view(logits.shape)
    result = net.activate(logits)
    return result if prior is None else multiply_prior(result, prior)


def image_independent_terms(net: PlainDownsizeNet, grid: Grid) -> Terms:
    """The terms of the coefficients that depend on the network and the sizes only."""
    size = grid.size()
    if net.distance is None:
        logits = net.logits.bias[:, None, None].expand(-1, *size)
    else:
        first, distances = net.distance[0], grid.distances().flatten(1)
        encoded = torch.addmm(first.bias[:, None], first.weight.flatten(1), distances).relu_()
        weight = net.logits.weight[:, -first.out_channels:].flatten(1)
        logits = torch.addmm(net.logits.bias[:, None], weight, encoded).unflatten(1, size)
    return Terms(logits, grid.prior() + RISE if net.bilinear_prior else None)


def mean_and_variance(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (N, C, 1, 1) of each channel of each image, in single precision or
    better."""
    # PyTorch 2.1 cannot compile promote_types().
    images = images if images.dtype == torch.float64 else images.float()
    mean = images.mean(dim=(2, 3), keepdim=True)
    deviation = torch.linalg.vector_norm(images - mean, dim=(2, 3), keepdim=True)
    return mean, deviation.square() / images[0, 0].numel()


def pooled_texture(layers: Any, features: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(layers(features), grid)``, where the layers (nn.Sequential) are the
    network's texture."""
    *first, last_but_one, _, last, relu = layers
    for layer in first:
        features = layer(features)
    if grid.y.stride and grid.x.stride:
        return relu(strided_convolution(last, relu(last_but_one(features)), grid))
    (height, width), (h, w) = features.shape[-2:], grid.size()
    learns = torch.is_grad_enabled() and (
        features.requires_grad or last_but_one.weight.requires_grad)
    # A graph to be exported cannot ask for the sizes. Gradients of patches cost more than those
    # of a whole map.
    if is_exporting() or not learns and 2 * h * w <= height * width:
        padded = relu(padded_convolution(last_but_one, features))
        return relu(pooled_convolution(last, padded, grid))
    return relu(floating_pooling(last(relu(last_but_one(features))), grid))


def strided_convolution(conv: nn.Conv2d, features: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)`` where the points have a stride along both axes.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        features (Tensor): (N, C, H, W).
        grid (Grid): Where the output pixels fall in the features.
    """
    y, x = grid
    # The first point's neighbourhood may begin outside.
    top, left = y.first - 1, x.first - 1
    convolved = F.conv2d(features[:, :, max(top, 0):, max(left, 0):], conv.weight, conv.bias,
                         (y.stride, x.stride), (int(top < 0), int(left < 0)))
    h, w = grid.size()
    return convolved[:, :, :h, :w]


def padded_convolution(conv: nn.Conv2d, features: Tensor) -> Tensor:
    """``conv(features)`` within a border of zeros, which :func:`pooled_convolution` wants.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        features (Tensor): (N, C, H, W).

    Returns:
        Tensor: (N, C, H + 2, W + 2).
    """
    convolved = F.conv2d(features, conv.weight, conv.bias, padding=2)
    convolved[:, :, ::convolved.shape[2] - 1] = 0
    convolved[:, :, :, ::convolved.shape[3] - 1] = 0
    return convolved


def pooled_convolution(conv: nn.Conv2d, padded: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)``, convolved at the pooled points alone.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        padded (Tensor): (N, C, H + 2, W + 2) features within a border of zeros; channels last is
            far faster.
        grid (Grid): Where the output pixels fall in the features.
    """
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

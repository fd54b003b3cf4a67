"""The paper's two special layers, and what they are computed with."""
from collections.abc import Iterable

from dsnet_mm.resizers.sampling import Grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def floating_pooling(features: Tensor, grid: Grid) -> Tensor:
    """The feature vector of each projected point: that of its neighbour P1 (top left).

    Args:
        features (Tensor): (N, C, H, W) feature map of the input image.
        grid (Grid): Where the output pixels fall in it.

    Returns:
        Tensor: (N, C, h, w).
    """
    return features.index_select(2, grid.y.lower).index_select(3, grid.x.lower)


def interpolate(images: Tensor, coefficients: Tensor, grid: Grid) -> Tensor:
    """The weighted sum of each projected point's neighbours, all channels alike.

    Args:
        images (Tensor): (N, C, H, W).
        coefficients (Tensor): (N, K, h, w) weights of the K neighbours, or (K, h, w) for all
            images.
        grid (Grid): Where the output pixels fall in the images.

    Returns:
        Tensor: (N, C, h, w), of the images' dtype.
    """
    neighbours = (neighbour for row in grid.y.select(images, dim=2)
                  for neighbour in grid.x.select(row, dim=3))
    weights = coefficients.to(images.dtype).unsqueeze(-4).unbind(-3)
    return weighted_sum(weights, neighbours)


def weighted_sum(weights: Iterable[Tensor], values: Iterable[Tensor]) -> Tensor:
    """The sum of each weight times its value."""
    (weight, value), *others = zip(weights, values)
    total = weight * value
    for weight, value in others:
        total = torch.addcmul(total, weight, value)
    return total


def padded_convolution(conv: nn.Conv2d, features: Tensor) -> Tensor:
    """``conv(features)`` between two rows of zeros, which :func:`pooled_convolution` wants.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        features (Tensor): (N, C, H, W).

    Returns:
        Tensor: (N, C, H + 2, W).
    """
    convolved = F.conv2d(features, conv.weight, conv.bias, padding=(2, 1))
    convolved[:, :, ::convolved.shape[2] - 1] = 0
    return convolved


def pooled_convolution(conv: nn.Conv2d, padded: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)``, convolved at few more than the pooled points.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        padded (Tensor): (N, C, H + 2, W) features between two rows of zeros; channels last is far
            faster.
        grid (Grid): Where the output pixels fall in the features.
    """
    y, x = grid
    if y.stride:
        rows = padded[:, :, y.first:]
    else:
        # The three rows of each point, one below the other. The same for columns would cost more
        # than it saves.
        index = (y.lower[:, None] + torch.arange(3, device=padded.device)).flatten()
        rows = padded.permute(0, 2, 3, 1).index_select(1, index).permute(0, 3, 1, 2)
    # The first point's neighbourhood may begin outside.
    left = x.first - 1 if x.stride else -1
    strides, padding = (y.stride or 3, x.stride or 1), (0, int(left < 0))
    convolved = F.conv2d(rows[..., max(left, 0):], conv.weight, conv.bias, strides, padding)
    convolved = convolved[:, :, :len(y.lower)]
    if x.stride:
        return convolved[..., :len(x.lower)]
    return convolved.permute(0, 2, 3, 1).index_select(2, x.lower).permute(0, 3, 1, 2)


def moments(images: Tensor, dtype: torch.dtype, budget: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each image.

    Args:
        images (Tensor): (N, C, H, W), unsigned 8-bit or floating-point.
        dtype (torch.dtype): To compute in; in single precision at least.
        budget (int): So many pixels are looked at at once, which then are in the cache.

    Returns:
        tuple[Tensor, Tensor]: (N, C, 1, 1) each.
    """
    n, channels, height, width = images.shape
    dtype = torch.promote_types(dtype, torch.float32)
    bands = images.split(max(1, budget // (n * width)), dim=2)
    if len(bands) == 1:
        return _moments(images.to(dtype))
    # In one place: small blocks kept among the large ones would keep these from being used again.
    found = torch.empty(2, len(bands), n, channels, 1, 1, dtype=dtype, device=images.device)
    for index, band in enumerate(bands):
        found[0, index], found[1, index] = _moments(band.to(dtype))
    shares = found.new_tensor([band.shape[2] / height for band in bands]).view(-1, 1, 1, 1, 1)
    mean = (shares * found[0]).sum(dim=0)
    return mean, (shares * (found[1] + (found[0] - mean).square())).sum(dim=0)


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    mean = images.mean(dim=(2, 3), keepdim=True)
    deviation = torch.linalg.vector_norm(images - mean, dim=(2, 3), keepdim=True)
    return mean, deviation.square() / images[0, 0].numel()


def standardize(images: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Each channel of each image to mean 0 and variance 1: texture, whatever the value range.

    Returns:
        Tensor: (N, C, H, W), channels last in memory, which for so few is far faster to convolve,
        on the CPU and with half precision on a GPU.
    """
    # A channel without texture becomes zero, not amplified rounding errors.
    least = (1e-3 * mean).square() + torch.finfo(mean.dtype).tiny
    scale = torch.rsqrt(variance + least)
    shift = -mean * scale
    texture = torch.addcmul(shift.to(images), images, scale.to(images))
    return texture.contiguous(memory_format=torch.channels_last)

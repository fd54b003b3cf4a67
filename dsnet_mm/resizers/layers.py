"""The paper's two special layers, and what they are computed with."""
from collections.abc import Iterable

from dsnet_mm.compat.versions import is_exporting
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
        coefficients (Tensor): (N, 4, h, w) weights of P1 to P4.
        grid (Grid): Where the output pixels fall in the images.

    Returns:
        Tensor: (N, C, h, w), of the images' dtype.
    """
    weights = coefficients.to(images.dtype).unsqueeze(2).unbind(1)
    return weighted_sum(weights, grid.select(images))


def weighted_sum(weights: Iterable[Tensor], values: Iterable[Tensor]) -> Tensor:
    """The sum of each weight times its value."""
    (weight, value), *others = zip(weights, values)
    total = weight * value
    for weight, value in others:
        total.addcmul_(weight, value)
    return total


def zero_sum(kernel: Tensor) -> Tensor:
    """A convolution's kernel (C_out, C_in, k, k) that sums to zero over each input channel, whose
    brightness then does not matter."""
    return kernel - kernel.mean(dim=(2, 3), keepdim=True)


def relative_contrast(contrast: Tensor, pixels: Tensor, bias: Tensor) -> Tensor:
    """ReLU of contrast relative to its own power over all channels, so that it is the same in any
    value range.

    Args:
        contrast (Tensor): (N, C, h, w) of a convolution with a :func:`zero_sum` kernel.
        pixels (Tensor): (N, c, h, w) in the middle of what the convolution saw.
        bias (Tensor): (C, ).

    Returns:
        Tensor: (N, C, h, w), of the bias's dtype.
    """
    # In single precision at least: half precision has no squares of pixels. PyTorch 2.1 cannot
    # compile promote_types().
    wide = torch.float64 if contrast.dtype == torch.float64 else torch.float32
    contrast = contrast.to(wide)
    power = contrast.square().mean(dim=1, keepdim=True)
    brightness = pixels.to(wide).square().mean(dim=1, keepdim=True)
    # A little to brightness as well: rounding errors of a flat image stay small. The last number
    # keeps the gradient of black images finite: its power of -1.5 is in range.
    scale = (power + 1e-6 * brightness + 1e-20).rsqrt()
    shift = bias[:, None, None].to(wide)
    return torch.addcmul(shift, contrast, scale).to(bias.dtype).relu_()


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
    return convolved[:, :, :len(y.lower), :len(x.lower)]


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
    rows = (grid.y.lower[:, None] + three).flatten()
    if is_exporting() or torch.jit.is_tracing():
        columns = (grid.x.lower[:, None] + three).flatten()
        patches = padded.index_select(2, rows).index_select(3, columns)
    else:
        # Three pixels side by side are copied as one.
        pixels = padded.permute(0, 2, 3, 1).contiguous()
        n, height, width, channels = pixels.shape
        triples = pixels.as_strided((n * height * width - 2, 3 * channels), (channels, 1))
        images = torch.arange(0, n * height * width, height * width, device=padded.device)
        starts = images[:, None, None] + rows[:, None] * width + grid.x.lower
        patches = triples.index_select(0, starts.flatten())
        patches = patches.view(n, len(rows), -1, channels).permute(0, 3, 1, 2)
    return F.conv2d(patches, conv.weight, conv.bias, stride=3)


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

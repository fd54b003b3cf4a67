"""The paper's two special layers, and operations that several resizers share."""
from collections.abc import Iterable

from dsnet_mm.resizers.ops.graphs import is_compiling
from dsnet_mm.resizers.ops.sampling import Grid

import torch
from torch import Tensor


def floating_pooling(features: Tensor, grid: Grid) -> Tensor:
    """The feature vector of each projected point: that of its neighbour P1 (top left).

    Args:
        features (Tensor): (N, C, H, W) feature map of the input image.
        grid (Grid): Where the output pixels fall in it.

    Returns:
        Tensor: (N, C, h, w).
    """
    return features.index_select(2, grid.y.lower()).index_select(3, grid.x.lower())


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
    return weighted_sum(weights, grid.gather(images))


def weighted_sum(weights: Iterable[Tensor], values: Iterable[Tensor]) -> Tensor:
    """The sum of each weight times its value."""
    (weight, value), *others = zip(weights, values)
    total = weight * value
    for weight, value in others:
        total.addcmul_(weight, value)
    return total


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the channels of (N, C, ...)."""
    if not is_compiling():
        return logits.softmax(dim=1)
    # Written out, as onnxruntime's Softmax would move the channels to the end and back.
    powers = (logits - logits.amax(dim=1, keepdim=True).detach()).exp()
    return powers / powers.sum(dim=1, keepdim=True)


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
    # A little to brightness as well: rounding errors of a flat image stay small. In black images
    # the least value, whose power of -1.5 is in range, keeps the gradient finite.
    scale = (power + 1e-6 * brightness).clamp(min=1e-20).rsqrt()
    shift = bias[:, None, None].to(wide)
    return torch.addcmul(shift, contrast, scale).to(bias.dtype).relu_()

"""The paper's two special layers, and operations that several resizers share."""
from collections.abc import Iterable
from functools import reduce

from dsnet_mm.resizers.ops.graphs import is_compiling, is_exporting
from dsnet_mm.resizers.ops.sampling import Grid

import torch
from torch import Tensor


def floating_pooling(features: Tensor, grid: Grid) -> Tensor:
    """(N, C, h, w) the features (N, C, H, W) of each projected point: those of its neighbour P1."""
    return features.index_select(2, grid.y.lower()).index_select(3, grid.x.lower())


def interpolate(images: Tensor, coefficients: Tensor, grid: Grid) -> Tensor:
    """(N, C, h, w) the combinations of P1 to P4 in images (N, C, H, W), of the images' dtype, with
    coefficients (N, 4, h, w) for all channels."""
    factors = coefficients.to(images.dtype).unsqueeze(2).unbind(1)
    return weighted_sum(factors, grid.gather(images))


def weighted_sum(factors: Iterable[Tensor], values: Iterable[Tensor]) -> Tensor:
    """The sum of each factor times its value."""
    (factor, value), *others = zip(factors, values)
    total = factor * value
    for factor, value in others:
        total.addcmul_(factor, value)
    return total


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the channels of (N, C, ...)."""
    if not is_compiling():
        return logits.softmax(dim=1)
    # Written out, as onnxruntime's Softmax moves the channels to the end and back.
    powers = (logits - logits.amax(dim=1, keepdim=True).detach()).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def softmax_weighted_sum(logits: Tensor, values: Iterable[Tensor]) -> Tensor:
    """The sum of values, each (N, C, h, w), weighted by the softmax of logits (N, K, h, w), for
    onnxruntime: map by map, and without dividing each coefficient."""
    maps = logits.unsqueeze(2).unbind(1)
    highest = reduce(torch.maximum, maps)
    powers = [(each - highest).exp() for each in maps]
    return weighted_sum(powers, values) / sum(powers)


def mean_square(values: Tensor) -> Tensor:
    """The mean of squares over the channels of (N, C, h, w), as (N, 1, h, w)."""
    if not is_exporting():
        return values.square().mean(dim=1, keepdim=True)
    # A matrix product, which onnxruntime computes in a third of the time.
    channels, height, width = values.shape[1:]
    share = values.new_full((1, channels), 1 / channels)
    return (share @ values.square().flatten(2)).unflatten(2, (height, width))


def zero_sum(kernel: Tensor) -> Tensor:
    """Makes a convolution's kernel (C_out, C_in, k, k) sum to zero over each input channel, so that
    brightness does not matter."""
    return kernel - kernel.mean(dim=(2, 3), keepdim=True)


def relative_contrast(contrast: Tensor, pixels: Tensor, bias: Tensor) -> Tensor:
    """ReLU of contrast relative to its own power over all channels, the same in any value range.

    Args:
        contrast (Tensor): (N, C, h, w) from a convolution with a :func:`zero_sum` kernel.
        pixels (Tensor): (N, c, h, w) at the centres of the kernel.
        bias (Tensor): (C, ).

    Returns:
        Tensor: (N, C, h, w), of the bias's dtype.
    """
    # Squares of pixels overflow in half precision. PyTorch 2.1 cannot compile promote_types().
    wide = torch.float64 if contrast.dtype == torch.float64 else torch.float32
    contrast = contrast.to(wide)
    power, brightness = mean_square(contrast), mean_square(pixels.to(wide))
    # Brightness keeps rounding errors of flat images small. The minimum, whose power of -1.5 is in
    # range, keeps the gradient of black images finite.
    scale = (power + 1e-6 * brightness).clamp(min=1e-20).rsqrt()
    shift = bias[:, None, None].to(wide)
    return torch.addcmul(shift, contrast, scale).to(bias.dtype).relu_()

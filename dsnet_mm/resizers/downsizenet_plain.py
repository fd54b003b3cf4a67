"""DownsizeNet as its paper describes it, layer by layer on the whole image."""
from typing import Any

from dsnet_mm.resizers.ops.layers import floating_pooling, interpolate, softmax
from dsnet_mm.resizers.ops.sampling import project
from dsnet_mm.resizers.ops.size import (
    Size,
    check_images,
    check_positive,
    check_size,
    size_of,
    to_float,
)

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to the bilinear coefficients before others are multiplied onto them: one of exactly zero, as
# are three of four at odd integer ratios, would stay zero and get no gradient.
RISE = 0.1


class PlainDownsizeNet(nn.Module):
    """The layers of :class:`~dsnet_mm.resizers.DownsizeNet`, and its reference computation."""
    ACTIVATIONS = ('softmax', 'sigmoid')

    # Sequential or None, Sequential or None, Conv2d: Any, as mypy knows no layers of a Sequential.
    texture: Any
    distance: Any
    logits: Any

    def __init__(self,
                 num_convs: int = 2,
                 channels: int = 16,
                 activation: str = 'softmax',
                 use_texture: bool = True,
                 use_distance: bool = True,
                 in_channels: int = 3,
                 bilinear_prior: bool = True) -> None:
        super().__init__()
        if num_convs not in (2, 3, 4):
            raise ValueError(f'num_convs must be 2, 3 or 4, got {num_convs!r}')
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation must be one of {self.ACTIVATIONS}, got {activation!r}')
        check_positive(channels=channels, in_channels=in_channels)
        check_switches(use_texture=use_texture, use_distance=use_distance,
                       bilinear_prior=bilinear_prior)
        if not (use_texture or use_distance):
            raise ValueError('use_texture and use_distance cannot both be False: '
                             "for fixed coefficients use FixedResizer(mode='bilinear')")
        self.activation = activation
        self.in_channels = in_channels
        self.bilinear_prior = bilinear_prior
        self.texture = None
        if use_texture:
            widths = [in_channels] + num_convs * [channels]
            self.texture = nn.Sequential(*(
                layer for pair in zip(widths, widths[1:])
                for layer in (nn.Conv2d(*pair, 3, padding=1), nn.ReLU(inplace=True))))
        self.distance = None
        if use_distance:
            self.distance = nn.Sequential(nn.Conv2d(4, channels, 1), nn.ReLU())
        self.logits = nn.Conv2d(channels * (use_texture + use_distance), 4, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialises; with the prior the network is bilinear interpolation again."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
        if self.bilinear_prior:
            nn.init.zeros_(self.logits.weight)
            nn.init.zeros_(self.logits.bias)

    def plain(self, images: Tensor, size: Size) -> Tensor:
        """The reference of ``forward``, with the same arguments: every layer on the whole image."""
        check_images(images, self.in_channels)
        images = to_float(images, self.logits.weight.dtype)
        # P1 to P4, the four neighbours of each output pixel's projected point.
        grid = project(size_of(images), check_size(size)).to(images)
        features = []
        if self.texture is not None:
            # Texture: 3x3 convolutions of the input image.
            variance, mean = torch.var_mean(images, dim=(2, 3), correction=0, keepdim=True)
            texture = self.texture(standardize(images, mean, variance))
            # Floating pooling: a projected point gets the texture of its neighbour P1.
            features.append(floating_pooling(texture, grid))
        if self.distance is not None:
            # Distance: from the projected point to P1 to P4, encoded.
            distance = self.distance(grid.distances()[None])
            features.append(distance.expand(len(images), -1, -1, -1))
        # A 1x1 convolution of both, and softmax or sigmoid: the coefficients of P1 to P4.
        coefficients = self.activate(self.logits(torch.cat(features, dim=1)))
        if self.bilinear_prior:
            coefficients = multiply_prior(coefficients, grid.prior() + RISE)
        # Interpolation: the convex combination of P1 to P4.
        return interpolate(images, coefficients, grid)

    def activate(self, logits: Tensor) -> Tensor:
        """Coefficients (N, 4, h, w) that sum to 1, from logits."""
        if self.activation == 'sigmoid':
            # sigmoid / sum of sigmoids, without 0 / 0 where all four vanish
            logits = F.logsigmoid(logits)
        return softmax(logits)


def standardize(images: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Shifts and scales each channel of each image to mean 0 and variance 1, given the mean and
    variance (N, C, 1, 1) of the whole images."""
    # A channel without texture becomes zero, not amplified rounding errors.
    power = variance + (1e-3 * mean).square()
    scale = power.clamp(min=torch.finfo(power.dtype).tiny).rsqrt()
    shift = -mean * scale
    return torch.addcmul(shift.to(images), images, scale.to(images))


def multiply_prior(coefficients: Tensor, prior: Tensor) -> Tensor:
    """Multiplies coefficients (N, 4, h, w) onto ``prior`` (4, h, w), the bilinear ones plus
    ``RISE``; where all are equal, the result is the bilinear ones."""
    product = torch.addcmul(prior.new_full((), -RISE / 4), coefficients, prior)
    # Cut at zero, but not by clamp: a coefficient of exactly zero must keep its gradient.
    product = F.threshold(product, -torch.finfo(product.dtype).tiny, 0)
    return product / product.sum(dim=1, keepdim=True)


def check_switches(**arguments: bool) -> None:
    """Raises:
        TypeError: If an argument is not True or False.
    """
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise TypeError(f'{name} must be True or False, got {value!r}')

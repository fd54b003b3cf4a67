"""Other published learned resizers, for comparison: written from their papers."""
import math
from collections.abc import Callable, Sequence
from numbers import Real

from dsnet_mm.resizers.size import Size, check_images, check_positive, check_size, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _ResidualResizer(nn.Module):
    """Bilinear interpolation plus a learned correction: what the peers have in common."""
    UNIT_RANGE = (0, 1)  # what the correction sees the value range as
    _correction: Callable[[Tensor, Size], Tensor]

    def __init__(self, in_channels: int, value_range: Sequence[float]) -> None:
        super().__init__()
        check_positive(in_channels=in_channels)
        self.in_channels = in_channels
        self.value_range = _check_range(value_range)

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images.

        Args:
            images (Tensor): (N, C, H, W), in the value range given at construction.
            size (tuple[int, int]): Height and width of the output in pixels, smaller or larger.

        Returns:
            Tensor: (N, C, h, w), clamped to the value range, so that it is an image. The gradient
            is that of the values before clamping, as published, so that black and white pixels
            take part in learning.

        Raises:
            TypeError: If the images are not floating-point, or the size not integers.
            ValueError: If the images are empty or have the wrong shape, or the size is wrong.
        """
        check_images(images, self.in_channels)
        size, images = check_size(size), to_float(images, next(self.parameters()).dtype)
        low, high = self.value_range
        least, most = self.UNIT_RANGE
        unit = (high - low) / (most - least)
        correction = self._correction((images - low) / unit + least, size)
        resized = _bilinear(images, size) + unit * correction
        # clamp alone has no gradient on the bounds in some versions of PyTorch.
        return resized.detach().clamp(low, high) + (resized - resized.detach())


class TalebiMilanfarResizer(_ResidualResizer):
    """A small convolutional network around a bilinear resize of its features.

    Talebi & Milanfar, "Learning to Resize Images for Computer Vision Tasks", ICCV 2021, Figure 3.
    The result is added to the bilinearly resized image. Inside, the value range is -1 to 1.

    The convolutions have no biases, so that their weights are those the paper counts (Table 2:
    11.87K for one block, 16.48K for two): 11,872 and 16,480. On top come 128 and 192 scales and
    shifts of the batch normalisations, which the table leaves out: 12,000 and 16,672 in all.

    Batch normalisation takes the statistics of the batch in training and running averages in
    evaluation. The preprocessors batch images of equal size only, so that in training every such
    group, of one image maybe, is normalised by itself; and the averages move even when the
    weights are frozen.

    Args:
        channels (int): Width of every layer; the paper's n.
        num_blocks (int): Residual blocks; the paper's r, 1 to 4 there.
        in_channels (int): Channels of the images.
        value_range (tuple[float, float]): Least and greatest value of the images.
        bilinear_start (bool): Start as bilinear interpolation, with a last convolution of zeros,
            so that a pretrained model sees images from the start; ours. ``False`` draws it at
            random, as the paper: the image starts under noise, much of it clamped.

    Raises:
        ValueError: If an argument is out of range.
    """
    UNIT_RANGE = (-1, 1)

    def __init__(self,
                 channels: int = 16,
                 num_blocks: int = 1,
                 in_channels: int = 3,
                 value_range: Sequence[float] = (0, 255),
                 bilinear_start: bool = True) -> None:
        super().__init__(in_channels, value_range)
        check_positive(channels=channels, num_blocks=num_blocks)
        self.bilinear_start = bilinear_start
        self.extract = nn.Sequential(
            _conv(in_channels, channels, 7), _activation(),
            _conv(channels, channels, 1), _activation(), nn.BatchNorm2d(channels))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _conv(channels, channels, 3), nn.BatchNorm2d(channels), _activation(),
                _conv(channels, channels, 3), nn.BatchNorm2d(channels))
            for _ in range(num_blocks))
        self.merge = nn.Sequential(_conv(channels, channels, 3), nn.BatchNorm2d(channels))
        self.project = _conv(channels, in_channels, 7)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew and forgets the running averages."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
                module.reset_parameters()
        if self.bilinear_start:
            nn.init.zeros_(self.project.weight)

    def _correction(self, images: Tensor, size: Size) -> Tensor:
        # Far faster for so few channels on the CPU.
        images = images.contiguous(memory_format=torch.channels_last)
        resized = _bilinear(self.extract(images), size)
        features = resized
        for block in self.blocks:
            features = features + block(features)
        return self.project(resized + self.merge(features))


class MULLER(_ResidualResizer):
    """Adds details of a few frequency bands, each with one learned scale and one learned bias.

    Tu, Milanfar & Talebi, "MULLER: Multilayer Laplacian Resizer for Vision", ICCV 2023; details
    from the authors' code (google-research, ``muller/``). A layer blurs what the layer before has
    blurred, with a Gaussian of 5 by 5 taps and standard deviation 1 pixel, resizes the difference
    between the two, and adds tanh(scale * difference + bias) to the resized image. All resizing is
    bilinear without antialiasing. Inside, the value range is 0 to 1 and the blur sees zeros
    outside the image, both as in the authors' code: a trained one leaves a seam at the border.

    Two layers have 4 parameters, as the authors' code and the weights in it (1.892, -0.014,
    -11.295 and 0.003 for a ResNet-50: scale and bias of either layer). They start from zero: as
    bilinear interpolation.

    Args:
        num_layers (int): Frequency bands.
        in_channels (int): Channels of the images; all are treated alike.
        value_range (tuple[float, float]): Least and greatest value of the images.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self,
                 num_layers: int = 2,
                 in_channels: int = 3,
                 value_range: Sequence[float] = (0, 255)) -> None:
        super().__init__(in_channels, value_range)
        check_positive(num_layers=num_layers)
        self.scale = nn.Parameter(torch.empty(num_layers))
        self.bias = nn.Parameter(torch.empty(num_layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zeroes the parameters: bilinear interpolation again."""
        nn.init.zeros_(self.scale)
        nn.init.zeros_(self.bias)

    def _correction(self, images: Tensor, size: Size) -> Tensor:
        correction = images.new_zeros(())
        for scale, bias in zip(self.scale, self.bias):
            blurred = _blur(images)
            band = _bilinear(blurred - images, size)
            correction = correction + torch.tanh(scale * band + bias)
            images = blurred
        return correction

    def extra_repr(self) -> str:
        return f'num_layers={len(self.scale)}, value_range={self.value_range}'


def _conv(in_channels: int, channels: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


def _bilinear(images: Tensor, size: Size) -> Tensor:
    return F.interpolate(images, size, mode='bilinear', align_corners=False)


def _blur(images: Tensor) -> Tensor:
    """Gaussian of standard deviation 1, five taps a side, zeros outside; same shape."""
    channels = images.shape[1]
    offsets = torch.arange(-2, 3, dtype=images.dtype, device=images.device)
    taps = torch.softmax(-offsets.square() / 2, dim=0).expand(channels, 1, -1)
    rows = F.conv2d(images, taps.unsqueeze(-1), padding=(2, 0), groups=channels)
    return F.conv2d(rows, taps.unsqueeze(-2), padding=(0, 2), groups=channels)


def _check_range(value_range: Sequence[float]) -> tuple[float, float]:
    if isinstance(value_range, (str, Real)) or len(value_range) != 2 or not (
            -math.inf < value_range[0] < value_range[1] < math.inf):
        raise ValueError('value_range must be the least and the greatest value of the images, '
                         f'like (0, 255), got {value_range!r}')
    return value_range[0], value_range[1]

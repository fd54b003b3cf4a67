"""The resizer of Talebi & Milanfar, after their paper."""
from collections.abc import Sequence

from dsnet_mm.resizers.baselines.residual import ResidualResizer, bilinear
from dsnet_mm.resizers.ops.size import Size, check_positive

import torch
from torch import Tensor, nn


class TalebiMilanfarResizer(ResidualResizer):
    """A small convolutional network around a bilinear resize of its features.

    Talebi & Milanfar, "Learning to Resize Images for Computer Vision Tasks", ICCV 2021, Figure 3.
    The result is added to the bilinearly resized image. The convolutions have no biases, so that
    their weights are as many as in the paper's Table 2 (11.87K for one block), which does not count
    the parameters of the batch normalisations.

    The preprocessors batch images of equal size only: in training every such group, maybe of one
    image, is normalised with its own statistics. Running statistics are updated even when the
    weights are frozen.

    Args:
        channels (int): Width of every layer; the paper's n.
        num_blocks (int): Residual blocks; the paper's r, 1 to 4 there.
        in_channels (int): Channels of the images.
        value_range (tuple[float, float]): Least and greatest value of the images.
        bilinear_start (bool): Start as bilinear interpolation, with a last convolution of zeros, so
            that a pre-trained model sees images from the start. ``False`` initialises it at random,
            as the paper: training starts from noisy images.

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
        """Re-initialises the weights and the running statistics."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
                module.reset_parameters()
        if self.bilinear_start:
            nn.init.zeros_(self.project.weight)

    def _correction(self, images: Tensor, size: Size) -> Tensor:
        # Far faster for so few channels on the CPU.
        images = images.contiguous(memory_format=torch.channels_last)
        resized = bilinear(self.extract(images), size)
        features = resized
        for block in self.blocks:
            features = features + block(features)
        return self.project(resized + self.merge(features))


def _conv(in_channels: int, channels: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)

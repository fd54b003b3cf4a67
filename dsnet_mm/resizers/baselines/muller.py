"""The resizer MULLER, after its paper and its authors' code."""
from collections.abc import Sequence

from dsnet_mm.resizers.baselines.residual import ResidualResizer, bilinear
from dsnet_mm.resizers.ops.size import Size, check_positive

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MULLER(ResidualResizer):
    """Adds details of a few frequency bands, each with a learned scale and bias.

    Tu, Milanfar & Talebi, "MULLER: Multilayer Laplacian Resizer for Vision", ICCV 2023. Each layer
    blurs the result of the layer before with a 5x5 Gaussian of standard deviation 1, resizes the
    difference bilinearly without antialiasing, and adds tanh(scale * difference + bias) to the
    resized image. As in the authors' code (google-research, ``muller/``) the blur pads with zeros:
    a trained one leaves a seam at the border. Parameters start from zero, as bilinear
    interpolation; a pair of the authors', for a ResNet-50, is 1.892 and -0.014.

    Args:
        num_layers (int): Frequency bands.
        in_channels (int): Channels of the images, which share the parameters.
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
        """Sets the parameters to zero: bilinear interpolation again."""
        nn.init.zeros_(self.scale)
        nn.init.zeros_(self.bias)

    def _correction(self, images: Tensor, size: Size) -> Tensor:
        correction = images.new_zeros(())
        for scale, bias in zip(self.scale, self.bias):
            blurred = _blur(images)
            band = bilinear(blurred - images, size)
            correction = correction + torch.tanh(scale * band + bias)
            images = blurred
        return correction

    def extra_repr(self) -> str:
        return f'num_layers={len(self.scale)}, value_range={self.value_range}'


def _blur(images: Tensor) -> Tensor:
    """Blurs with a 5x5 Gaussian of standard deviation 1 and zero padding."""
    channels = images.shape[1]
    offsets = torch.arange(-2, 3, dtype=images.dtype, device=images.device)
    taps = torch.softmax(-offsets.square() / 2, dim=0).expand(channels, 1, -1)
    rows = F.conv2d(images, taps.unsqueeze(-1), padding=(2, 0), groups=channels)
    return F.conv2d(rows, taps.unsqueeze(-2), padding=(0, 2), groups=channels)

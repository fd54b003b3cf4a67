"""Space to depth: detail maps without anything learned."""
from dsnet_mm.resizers.ops.size import Size, check_images, check_positive, check_size, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpaceToDepth(nn.Module):
    """The mean of each cell of m x m pixels as image, and their differences to it as detail maps.

    The cells are those of an antialiased image of m times the output's sides. The baseline of
    :class:`~dsnet_mm.resizers.DownsizeNetV2` with detail maps; YOLOv5's Focus layer and SPD-Conv
    (ECML 2022) feed a model the pixels of the cells themselves.

    Args:
        m (int): Pixels of a cell along each axis, 2 or more.
        in_channels (int): Channels of the images.

    Raises:
        ValueError: If an argument is out of range.
    """
    # Gives the maps of photographs about the standard deviation of a normalised image.
    _DETAIL_SCALE = 0.1
    detail_scales = True  # with the image's value range

    def __init__(self, m: int = 2, in_channels: int = 3) -> None:
        super().__init__()
        check_positive(m=m, in_channels=in_channels)
        if m < 2:
            raise ValueError(f'm must be 2 or more, got {m}')
        self.m, self.in_channels = m, in_channels
        self.detail_channels = in_channels * (m * m - 1)

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images (N, C, H, W), floating-point or unsigned 8-bit, to (N, C * m * m, h, w):
        the image, and the differences of all pixels of a cell but the last, which follows."""
        check_images(images, self.in_channels)
        height, width = check_size(size)
        dense = F.interpolate(to_float(images), (self.m * height, self.m * width), mode='bilinear',
                              antialias=True)
        cells = F.pixel_unshuffle(dense, self.m).unflatten(1, (self.in_channels, -1))
        mean = cells.mean(dim=2, keepdim=True)
        detail = self._DETAIL_SCALE * (cells - mean)[:, :, :-1]
        return torch.cat([mean[:, :, 0], detail.flatten(1, 2)], dim=1)

    def extra_repr(self) -> str:
        return f'm={self.m}'

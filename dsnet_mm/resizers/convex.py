"""The base class of the learned resizers with convex coefficients."""
from __future__ import annotations

from dsnet_mm.resizers.ops.size import Size
from dsnet_mm.resizers.pretrained import Pretrained

from torch import Tensor


class ConvexResizer(Pretrained):
    """A resizer whose output pixels are convex combinations of K pixels each.

    Attributes:
        in_channels (int): Channels of the images.
        starts_as_image (bool): Whether it resizes sensibly before it is trained.
    """
    in_channels: int
    starts_as_image = True

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The weights (N, K, h, w) of the K pixels behind each output pixel, row by row.

        Args:
            images (Tensor): (N, C, H, W), floating-point or unsigned 8-bit.
            size (tuple[int, int]): Height and width of the output in pixels.
        """
        raise NotImplementedError

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The weights (K, h, w) that an untrained network gives the same pixels."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Sets the weights as at the start: those given as ``weights``, otherwise drawn anew."""
        raise NotImplementedError

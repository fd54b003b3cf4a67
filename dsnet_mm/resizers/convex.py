"""The base class of the learned resizers with convex coefficients."""
from __future__ import annotations

from dsnet_mm.resizers.ops import bands
from dsnet_mm.resizers.ops.size import Size, check_images, check_size
from dsnet_mm.resizers.pretrained import Pretrained

from torch import Tensor


class ConvexResizer(Pretrained):
    """A resizer whose output pixels are convex combinations of K pixels each.

    Attributes:
        in_channels (int): Channels of the images.
        starts_as_image (bool): Whether it resizes sensibly before it is trained.
        detail_channels (int): Number D of detail maps behind the image in the output.
    """
    in_channels: int
    starts_as_image = True
    detail_channels = 0

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images.

        Args:
            images (Tensor): (N, C, H, W), any value range, of the parameters' dtype or unsigned
                8-bit.
            size (tuple[int, int]): Height and width of the output in pixels, smaller or larger.

        Returns:
            Tensor: (N, C + D, h, w), floating-point: the image, each pixel between the least and
            the greatest of its neighbourhood in the input image, and the detail maps, if any.

        Raises:
            TypeError: If the images are neither floating-point nor unsigned 8-bit, or the size is
                not integers.
            ValueError: If the images are empty or have the wrong shape, or the size is wrong.
        """
        check_images(images, self.in_channels)
        size = check_size(size)
        if bands.apply_to(self, images):
            return self._resize_in_bands(images, size)
        return self._resize_whole(images, size)

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The coefficients (N, K, h, w) of what each output pixel combines, row by row: the four
        neighbours in DownsizeNet, 3x3 samples in DownsizeNetV2.

        Arguments and errors are those of :meth:`forward`.
        """
        check_images(images, self.in_channels)
        return self._infer(images, check_size(size))

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The coefficients (K, h, w) that an untrained network gives the same pixels."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Loads the trained ``weights`` again if they were given, otherwise re-initialises."""
        raise NotImplementedError

    def _infer(self, images: Tensor, size: Size) -> Tensor:
        """``coefficients`` of checked arguments."""
        raise NotImplementedError

    def _resize_in_bands(self, images: Tensor, size: Size) -> Tensor:
        raise NotImplementedError

    def _resize_whole(self, images: Tensor, size: Size) -> Tensor:
        raise NotImplementedError

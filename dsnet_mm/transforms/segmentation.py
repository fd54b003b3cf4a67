"""A resizer that trains with one of torchvision's segmentation models."""
from collections.abc import Sequence

from dsnet_mm.resizers import DownsizeNetV2, GuidedUpsampling, OutputSize
from dsnet_mm.resizers.apply import apply_resizer, enlarge

import torch.nn.functional as F
from torch import Tensor, nn


class DownsizeSegmentation(nn.Module):
    """A model of ``torchvision.models.segmentation`` behind a resizer.

    ::

        model = torchvision.models.segmentation.deeplabv3_resnet50(num_classes=12)
        model = DownsizeSegmentation(model, scale=0.5)

    The model gets resized images; its logits are enlarged to the input images' size, so labels stay
    as they are.

    Args:
        model (nn.Module): Takes images (N, C, h, w) and returns a dict of logits.
        size (tuple[int, int], optional): Height and width of the resized images in pixels. Give
            exactly one of this, ``scale`` and ``short_edge``, see :class:`OutputSize`.
        scale (float | tuple[float, float], optional): Factor, or factors of height and width.
        short_edge (int, optional): The resized images' shorter side in pixels.
        resizer (nn.Module, optional): By default an untrained ``DownsizeNetV2``. It sees BGR, as
            all of this package.
        upsampling (str | GuidedUpsampling): What enlarges the logits ``out``: ``'bilinear'``,
            ``'guided'`` (an untrained :class:`~dsnet_mm.resizers.GuidedUpsampling`) or the module
            given.

    Raises:
        ValueError, TypeError: If the size or the upsampling is missing, ambiguous or wrong.
    """

    def __init__(self, model: nn.Module, *, size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None, short_edge: int | None = None,
                 resizer: nn.Module | None = None,
                 upsampling: str | GuidedUpsampling = 'bilinear') -> None:
        super().__init__()
        self.output_size = OutputSize(size, scale, short_edge)
        self.resizer = DownsizeNetV2() if resizer is None else resizer
        self.model = model
        is_name = upsampling in ('bilinear', 'guided')
        if not is_name and not isinstance(upsampling, GuidedUpsampling):
            raise ValueError("upsampling must be 'bilinear', 'guided' or a GuidedUpsampling, got "
                             f'{upsampling!r}')
        self.upsampling = GuidedUpsampling() if upsampling == 'guided' else upsampling

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes the model's logits.

        Args:
            images (Tensor): (N, C, H, W) RGB, normalised as the model needs them.

        Returns:
            dict[str, Tensor]: (N, num_classes, H, W) ``out``, and ``aux`` if the model has it.

        Raises:
            TypeError, ValueError: If the images are not floating-point, or of the wrong shape.
        """
        if not images.is_floating_point():
            raise TypeError('images must be floating-point and normalised as the model needs them, '
                            f'got {images.dtype}')
        size = images.shape[-2:]
        logits = self.model(apply_resizer(self.resizer, images, self.output_size(*size), 'rgb'))
        enlarged = {}
        if isinstance(self.upsampling, GuidedUpsampling):
            enlarged['out'] = enlarge(self.upsampling, logits['out'], images, channel_order='rgb')
        return enlarged | {name: F.interpolate(value, size, mode='bilinear', align_corners=False)
                           for name, value in logits.items() if name not in enlarged}

    def extra_repr(self) -> str:
        return repr(self.output_size)

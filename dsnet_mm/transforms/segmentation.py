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

    The model sees small images. Its logits are enlarged to the images given, so that labels and
    everything else stay as they were.

    Args:
        model (nn.Module): Takes images (N, C, h, w) and returns a dict of logits.
        size (tuple[int, int], optional): The size of the resized images, as ``target_size`` of
            :class:`~dsnet_mm.resizers.OutputSize`. Exactly one of ``size``, ``scale`` and
            ``short_edge`` is given.
        scale (float | tuple[float, float], optional): As there.
        short_edge (int, optional): As there.
        resizer (nn.Module, optional): By default an untrained ``DownsizeNetV2``. It sees BGR, as
            all of this package.
        upsampling (str | GuidedUpsampling): How the logits ``out`` are enlarged, ``'bilinear'`` or
            ``'guided'``, by an untrained :class:`~dsnet_mm.resizers.GuidedUpsampling`, or by one
            that is given.

    Raises:
        ValueError, TypeError: If the size is missing, ambiguous or wrong, or the upsampling
            unknown.
    """

    def __init__(self,
                 model: nn.Module,
                 *,
                 size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None,
                 short_edge: int | None = None,
                 resizer: nn.Module | None = None,
                 upsampling: str | GuidedUpsampling = 'bilinear') -> None:
        super().__init__()
        self.output_size = OutputSize(size, scale, short_edge)
        self.resizer = DownsizeNetV2() if resizer is None else resizer
        self.model = model
        if upsampling not in ('bilinear', 'guided') and not isinstance(upsampling,
                                                                       GuidedUpsampling):
            raise ValueError("upsampling must be 'bilinear', 'guided' or a GuidedUpsampling, got "
                             f'{upsampling!r}')
        self.upsampling = GuidedUpsampling() if upsampling == 'guided' else upsampling

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes the model's logits.

        Args:
            images (Tensor): (N, C, H, W) RGB, normalised as the model wants them.

        Returns:
            dict[str, Tensor]: (N, num_classes, H, W) ``out``, and ``aux`` if the model has it.

        Raises:
            TypeError: If the images are not floating-point.
            ValueError: If they have the wrong shape.
        """
        if not images.is_floating_point():
            raise TypeError('images must be floating-point and normalised as the model wants them, '
                            f'got {images.dtype}')
        size_in = images.shape[-2:]
        small = apply_resizer(self.resizer, images, self.output_size(*size_in), channel_order='rgb')
        logits = self.model(small)
        large = {}
        if isinstance(self.upsampling, GuidedUpsampling):
            large['out'] = enlarge(self.upsampling, logits['out'], images, channel_order='rgb')
        return large | {name: F.interpolate(value, size_in, mode='bilinear', align_corners=False)
                        for name, value in logits.items() if name not in large}

    def extra_repr(self) -> str:
        return repr(self.output_size)

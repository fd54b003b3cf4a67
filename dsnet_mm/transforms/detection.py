"""A resizer that trains with one of torchvision's detectors."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsnet_mm.resizers import DownsizeNetV2, OutputSize
from dsnet_mm.resizers.apply import apply_resizer

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.transform import (
    GeneralizedRCNNTransform,
    resize_boxes,
    resize_keypoints,
)


class DownsizeRCNNTransform(GeneralizedRCNNTransform):
    """torchvision's ``GeneralizedRCNNTransform`` with a trainable resizer.

    Every model of ``torchvision.models.detection`` has such a transform::

        model = torchvision.models.detection.fasterrcnn_resnet50_fpn(num_classes=5)
        model.transform = DownsizeRCNNTransform.replacing(model.transform, size=(320, 320))

    The resizer is then one of the model's modules. Predictions come back in the coordinates of the
    input image.

    Args:
        image_mean (Sequence[float]): Mean of each channel, in RGB order.
        image_std (Sequence[float]): Standard deviation of each channel.
        size_divisible (int): Pad batches to a multiple of so many pixels.
        size (tuple[int, int], optional): Height and width of the resized images in pixels. Give
            exactly one of this, ``scale`` and ``short_edge``, see :class:`OutputSize`.
        scale (float | tuple[float, float], optional): Factor, or factors of height and width.
        short_edge (int, optional): The resized images' shorter side in pixels.
        resizer (nn.Module, optional): By default an untrained ``DownsizeNetV2``. It sees BGR, as
            all of this package.

    Raises:
        ValueError, TypeError: If the size is missing, ambiguous or wrong.
    """

    def __init__(self, image_mean: Sequence[float], image_std: Sequence[float],
                 size_divisible: int = 32, *, size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None, short_edge: int | None = None,
                 resizer: nn.Module | None = None) -> None:
        # The zeros are for the inherited resize, which is overridden.
        super().__init__(0, 0, image_mean, image_std, size_divisible)
        self.output_size = OutputSize(size, scale, short_edge)
        self.resizer = DownsizeNetV2() if resizer is None else resizer

    @classmethod
    def replacing(cls, transform: GeneralizedRCNNTransform, **kwargs: Any) -> DownsizeRCNNTransform:
        """One with the normalisation and padding of a model's present transform; the other
        arguments are the size and the resizer."""
        return cls(transform.image_mean, transform.image_std, transform.size_divisible, **kwargs)

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None
               ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Resizes a normalised RGB image (C, H, W) and, in place, the boxes, masks and keypoints of
        its target."""
        size_in = image.shape[-2:]
        size = self.output_size(*size_in)
        image = apply_resizer(self.resizer, image[None], size, channel_order='rgb')[0]
        if target is not None:
            target['boxes'] = resize_boxes(target['boxes'], size_in, size)
            if 'masks' in target:
                masks = target['masks'][:, None].byte()
                target['masks'] = F.interpolate(masks, size, mode='nearest-exact')[:, 0]
            if 'keypoints' in target:
                target['keypoints'] = resize_keypoints(target['keypoints'], size_in, size)
        return image, target

    def __repr__(self) -> str:
        return nn.Module.__repr__(self)  # the inherited one describes its own resize

    def extra_repr(self) -> str:
        return repr(self.output_size)

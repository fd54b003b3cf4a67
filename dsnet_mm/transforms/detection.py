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
    """torchvision's ``GeneralizedRCNNTransform`` with a resizer that learns.

    Every model of ``torchvision.models.detection`` has such a transform::

        model = torchvision.models.detection.fasterrcnn_resnet50_fpn(num_classes=5)
        model.transform = DownsizeRCNNTransform.replacing(model.transform, size=(320, 320))

    The resizer is then part of the model: in its parameters, its checkpoints, its device.
    Predictions come back in the coordinates of the original image.

    Args:
        image_mean (Sequence[float]): Of each channel, in RGB order.
        image_std (Sequence[float]): Of each channel.
        size_divisible (int): Batches are padded to a multiple of so many pixels.
        size (tuple[int, int], optional): The size of the resized images, as ``target_size`` of
            :class:`~dsnet_mm.resizers.OutputSize`. Exactly one of ``size``, ``scale`` and
            ``short_edge`` is given.
        scale (float | tuple[float, float], optional): As there.
        short_edge (int, optional): As there.
        resizer (nn.Module, optional): By default an untrained ``DownsizeNetV2``. It sees BGR, as
            all of this package.

    Raises:
        ValueError, TypeError: If the size is missing, ambiguous or wrong.
    """

    def __init__(self,
                 image_mean: Sequence[float],
                 image_std: Sequence[float],
                 size_divisible: int = 32,
                 *,
                 size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None,
                 short_edge: int | None = None,
                 resizer: nn.Module | None = None) -> None:
        # The inherited sizes are those of the inherited resize.
        super().__init__(0, 0, image_mean, image_std, size_divisible)
        self.output_size = OutputSize(size, scale, short_edge)
        self.resizer = DownsizeNetV2() if resizer is None else resizer

    @classmethod
    def replacing(cls, transform: GeneralizedRCNNTransform,
                  **kwargs: Any) -> DownsizeRCNNTransform:
        """One with the normalisation and padding of a model's present transform.

        Args:
            transform (GeneralizedRCNNTransform): ``model.transform``.
            **kwargs: Size and resizer.
        """
        return cls(transform.image_mean, transform.image_std, transform.size_divisible, **kwargs)

    def resize(self,
               image: Tensor,
               target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Resizes an image and what belongs to it.

        Args:
            image (Tensor): (C, H, W) RGB, normalised, which a ``DownsizeNetV2`` does not notice.
            target (dict, optional): ``boxes`` and, if the model wants them, ``masks`` and
                ``keypoints`` in the image's pixels. It is changed; :meth:`forward` copies.
        """
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
        return nn.Module.__repr__(self)  # the inherited one tells of its own resize

    def extra_repr(self) -> str:
        return repr(self.output_size)

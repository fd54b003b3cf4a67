"""Checks for values in images and boxes that would silently spoil a training.

They look at what the data loader returns, which still lies on the CPU, so that no GPU has to wait.
"""
from collections.abc import Sequence

from dsnet_mm.resizers.ops.size import check_finite

from mmengine.structures import BaseDataElement
from torch import Tensor


def check_values(images: Tensor | Sequence[Tensor], samples: Sequence[BaseDataElement] | None,
                 training: bool) -> None:
    """Checks floating-point images and, in training, the boxes of the ground truth.

    Args:
        images (Tensor | Sequence[Tensor]): (N, C, H, W), or (C, H, W) each.
        samples (Sequence[BaseDataElement] | None): Their data samples.
        training (bool): Whether to check the boxes.

    Raises:
        TypeError, ValueError: If there are no images, or an image or a box has values that are NaN,
            infinite or beyond 1e12.
    """
    if not isinstance(images, (Tensor, list, tuple)):
        raise TypeError('inputs must be a list of images (C, H, W) or a batch (N, C, H, W), got '
                        f'{type(images).__name__}')
    if len(images) == 0:
        raise ValueError('inputs holds no images: an empty batch cannot be resized')
    for index, image in enumerate(images):
        if isinstance(image, Tensor) and image.is_floating_point() and image.numel():
            _check(image, f'image {index} of the batch', samples, index)
    for index, sample in enumerate(samples or ()):
        if not isinstance(sample, BaseDataElement):
            raise TypeError(f'data sample {index} of the batch is a {type(sample).__name__}: the '
                            'pipeline must end with PackDetInputs or PackSegInputs')
        if not training:
            continue
        for name in ('gt_instances', 'ignored_instances'):
            boxes = sample.get(name, {}).get('bboxes')
            boxes = getattr(boxes, 'tensor', boxes)
            if isinstance(boxes, Tensor) and boxes.is_floating_point() and boxes.numel():
                _check(boxes, f'{name}.bboxes of data sample {index}', samples, index)


def _check(values: Tensor, what: str, samples: Sequence[BaseDataElement] | None,
           index: int) -> None:
    path = getattr(samples[index], 'img_path', '') if samples and index < len(samples) else ''
    check_finite(values, f'{what} ({path})' if path else what)

"""Checks of images and boxes whose values would silently ruin a training.

They run on the data loader's output, which is still on the CPU: no GPU has to synchronise.
"""
from collections.abc import Sequence

from dsnet_mm.resizers.ops.size import check_finite

from mmengine.structures import BaseDataElement
from torch import Tensor


def check_values(images: Tensor | Sequence[Tensor], samples: Sequence[BaseDataElement] | None,
                 training: bool) -> None:
    """Checks floating-point images (N, C, H, W), or (C, H, W) each, and in training the boxes.

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
        _check(image, f'image {index} of the batch', samples, index)
    for index, sample in enumerate(samples or ()):
        if not isinstance(sample, BaseDataElement):
            raise TypeError(f'data sample {index} of the batch is a {type(sample).__name__}: the '
                            'pipeline must end with PackDetInputs or PackSegInputs')
        for name in ('gt_instances', 'ignored_instances') if training else ():
            boxes = sample.get(name, {}).get('bboxes')
            _check(getattr(boxes, 'tensor', boxes), f'{name}.bboxes of data sample {index}',
                   samples, index)


def _check(values: object, what: str, samples: Sequence[BaseDataElement] | None,
           index: int) -> None:
    if isinstance(values, Tensor) and values.is_floating_point() and values.numel():
        path = getattr(samples[index], 'img_path', '') if samples and index < len(samples) else ''
        check_finite(values, f'{what} ({path})' if path else what)

"""Applies any resizer or upsampling to images of any precision and channel order."""
from contextlib import AbstractContextManager, nullcontext

from dsnet_mm.resizers.ops.graphs import is_exporting
from dsnet_mm.resizers.ops.size import Size

import torch
from torch import Tensor, nn


def apply_resizer(resizer: nn.Module, images: Tensor, size: Size,
                  channel_order: str = 'bgr') -> Tensor:
    """Resizes images in the resizer's own precision.

    All resizers of this package see colours as mmcv loads them, BGR. Images in RGB are flipped
    before and after, so that a resizer trained in one place serves in all others.

    Args:
        resizer (nn.Module): Takes images and a size.
        images (Tensor): (N, C, H, W), floating-point or unsigned 8-bit.
        size (tuple[int, int]): Height and width of the output in pixels.
        channel_order (str): ``'bgr'`` or ``'rgb'``, of images with three channels.

    Returns:
        Tensor: (N, C, h, w), floating-point.
    """
    flip = channel_order == 'rgb' and images.dim() == 4 and images.shape[1] == 3
    given = images.dtype
    if images.is_floating_point():
        images = images.to(next((p.dtype for p in resizer.parameters()), torch.float32))
    # Training preprocesses inside autocast and validation outside: both must agree.
    with _without_autocast(images):
        resized = resizer(images.flip(1) if flip else images, size)
    # Some interpolations overshoot; what reads bytes later (BoxInst) would wrap around.
    resized = resized.clamp(0, 255) if given == torch.uint8 else resized
    return resized.flip(1) if flip else resized


def enlarge(upsampling: nn.Module, small: Tensor, guide: Tensor,
            extent: tuple[float, float] | None = None, rows: slice | None = None,
            channel_order: str = 'bgr') -> Tensor:
    """Enlarges maps in the upsampling's own precision.

    Args:
        upsampling (nn.Module): A ``GuidedUpsampling`` or ``BilinearUpsampling``.
        channel_order (str): ``'bgr'`` or ``'rgb'``, of large images with three channels.

    The other arguments, the result and the errors are those of
    :class:`~dsnet_mm.resizers.GuidedUpsampling`.
    """
    dtype = next((p.dtype for p in upsampling.parameters()), torch.float32)
    if channel_order == 'rgb' and guide.dim() == 4 and guide.shape[1] == 3:
        guide = guide.flip(1)
    guide = guide.to(dtype) if guide.is_floating_point() else guide
    with _without_autocast(small):
        return upsampling(small.to(dtype), guide, extent, rows)


def _without_autocast(like: Tensor) -> AbstractContextManager:
    # A package of torch.export has no place for the context with open sizes inside, and there is
    # no autocast in it.
    return nullcontext() if is_exporting() else torch.autocast(like.device.type, enabled=False)

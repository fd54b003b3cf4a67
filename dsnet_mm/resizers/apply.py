"""Applies any resizer or upsampling to images of any precision and channel order."""
from dsnet_mm.resizers.ops.size import Size

import torch
from torch import Tensor, nn


def apply_resizer(resizer: nn.Module, images: Tensor, size: Size,
                  channel_order: str = 'bgr') -> Tensor:
    """Resizes images in the resizer's own precision.

    Resizers always see BGR, as mmcv loads images; RGB images are flipped before and after.

    Args:
        resizer (nn.Module): Takes images and a size.
        images (Tensor): (N, C, H, W), floating-point or unsigned 8-bit.
        size (tuple[int, int]): Height and width of the output in pixels.
        channel_order (str): ``'bgr'`` or ``'rgb'``, of images with three channels.

    Returns:
        Tensor: (N, C, h, w), floating-point, or (N, C + D, h, w) with detail maps.
    """
    flip = channel_order == 'rgb' and images.dim() == 4 and images.shape[1] == 3
    given = images.dtype
    if images.is_floating_point():
        images = images.to(_dtype(resizer))
    # Training preprocesses inside autocast and validation outside: both must agree.
    with torch.autocast(images.device.type, enabled=False):
        resized = resizer(images.flip(1) if flip else images, size)
    # Some interpolations overshoot, which would wrap around where bytes are read later (BoxInst).
    resized, detail = resized.split([images.shape[1], resized.shape[1] - images.shape[1]], dim=1)
    resized = resized.clamp(0, 255) if given == torch.uint8 else resized
    resized = resized.flip(1) if flip else resized
    return torch.cat([resized, detail], dim=1) if detail.shape[1] else resized


def enlarge(upsampling: nn.Module, small: Tensor, guide: Tensor,
            extent: tuple[float, float] | None = None, rows: slice | None = None,
            channel_order: str = 'bgr') -> Tensor:
    """Upsamples maps in the upsampling's own precision.

    Args:
        upsampling (nn.Module): A ``GuidedUpsampling`` or ``BilinearUpsampling``.
        channel_order (str): ``'bgr'`` or ``'rgb'``, of input images with three channels.

    The other arguments, the result and the errors are those of
    :class:`~dsnet_mm.resizers.GuidedUpsampling`.
    """
    dtype = _dtype(upsampling)
    if channel_order == 'rgb' and guide.dim() == 4 and guide.shape[1] == 3:
        guide = guide.flip(1)
    guide = guide.to(dtype) if guide.is_floating_point() else guide
    with torch.autocast(small.device.type, enabled=False):
        return upsampling(small.to(dtype), guide, extent, rows)


def _dtype(net: nn.Module) -> torch.dtype:
    return next((p.dtype for p in net.parameters()), torch.float32)

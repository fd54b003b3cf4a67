"""Fixed interpolation."""
from dsnet_mm.resizers.ops.size import Size, check_images, check_size, to_float

import torch.nn.functional as F
from torch import Tensor, nn


class FixedResizer(nn.Module):
    """Resizes by ``F.interpolate`` with ``align_corners=False``, without parameters.

    Args:
        mode (str): ``'nearest'``, ``'bilinear'``, ``'bicubic'`` (which may leave the value range of
            its input) or ``'area'``.
        antialias (bool): Antialias when downsizing, as Pillow does; ``'bilinear'`` and
            ``'bicubic'`` only.

    Raises:
        ValueError: If the mode is unknown, or has no antialiasing.
    """
    MODES = ('nearest', 'bilinear', 'bicubic', 'area')

    def __init__(self, mode: str = 'bilinear', antialias: bool = False) -> None:
        super().__init__()
        if mode not in self.MODES:
            raise ValueError(f'mode must be one of {self.MODES}, got {mode!r}')
        if antialias and mode not in ('bilinear', 'bicubic'):
            raise ValueError(f"antialias=True needs mode 'bilinear' or 'bicubic', got {mode!r}")
        self.mode = mode
        self.antialias = antialias

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images (N, C, H, W), floating-point or unsigned 8-bit, to floating-point ones
        (N, C, h, w), where ``size`` is (h, w) in pixels."""
        check_images(images)
        images = to_float(images)
        return F.interpolate(images, check_size(size), mode=self.mode, antialias=self.antialias)

    def extra_repr(self) -> str:
        return f'mode={self.mode!r}, antialias={self.antialias}'

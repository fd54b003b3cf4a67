"""A frozen resizer for images of any dtype."""
from __future__ import annotations

import copy

from dsnet_mm.resizers.apply import apply_resizer
from dsnet_mm.resizers.ops.size import Size, check_finite

import torch
from torch import Tensor, nn


class FrozenResizer(nn.Module):
    """A frozen copy of a resizer that keeps the images' dtype; their channels are in
    ``channel_order``, ``'bgr'`` or ``'rgb'``."""

    def __init__(self, resizer: nn.Module, channel_order: str) -> None:
        super().__init__()
        self.resizer = copy.deepcopy(resizer).eval().requires_grad_(False)
        self.channel_order = channel_order

    def train(self, mode: bool = True) -> FrozenResizer:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images (N, C, H, W), floating-point or integers in any value range, to
        (N, C, h, w) of the same dtype; a resizer of colours gets gray as three equal channels."""
        given = images.dtype
        if given.is_floating_point and images.numel():
            check_finite(images, 'the image')
        is_integer = not (given.is_floating_point or given.is_complex or given == torch.bool)
        if is_integer and given != torch.uint8:
            images = images.float()
        gray = images.dim() == 4 and images.shape[1] == 1
        if gray and getattr(self.resizer, 'in_channels', 1) == 3:
            images = images.expand(-1, 3, -1, -1)
        resized = apply_resizer(self.resizer, images, size, self.channel_order)
        resized = resized[:, :images.shape[1]]  # not the detail maps
        if is_integer:
            limits = torch.iinfo(given)
            resized = resized.round().clamp(limits.min, limits.max)
        return (resized[:, :1] if gray else resized).to(given)

"""What the model behind the preprocessor sees, and the sizes that lead back to the input image."""
from typing import NamedTuple

from dsnet_mm.resizers.ops.size import Size, size_of

import torch
from torch import Tensor


class Frame(NamedTuple):
    """The model's input, and the sizes that lead back to the full-size image.

    Attributes:
        inputs (Tensor): (N, 3, h + padding, w + padding) for the backbone.
        small (tuple[int, int]): Height and width of the resized image without padding.
        full (tuple[int, int]): Height and width of the full-size image.
        large (Tensor): (N, 3, H, W) the images as the resizer got them, unsigned 8-bit or
            floating-point.
    """
    inputs: Tensor
    small: Size
    full: Size
    large: Tensor

    @property
    def padded(self) -> Size:
        """Height and width of ``inputs``."""
        return size_of(self.inputs)

    def to_full(self, boxes: Tensor) -> Tensor:
        """Boxes (N, K, 4) in pixels of the full-size image instead of the resized one."""
        (height, width), (h, w) = self.full, self.small
        x, y = boxes[..., 0::2] * (width / w), boxes[..., 1::2] * (height / h)
        return torch.stack([x, y], dim=-1).flatten(-2)

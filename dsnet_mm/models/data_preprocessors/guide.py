"""The input image, kept for heads with guided upsampling."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsnet_mm.resizers.ops.size import Size, size_of

from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Guide:
    """The input image of a data sample, in its metainfo under ``guide``.

    Attributes:
        image (Tensor): (C, H, W), the preprocessor's input, not a copy: never write to it.
        size (tuple[int, int]): Height and width of the resized image in pixels.
        padded (tuple[int, int]): Those of the network's input, padded at the right and bottom.
    """
    image: Tensor
    size: Size
    padded: Size

    def __deepcopy__(self, memo: Any) -> Guide:
        return self  # mmengine copies metainfo along with every data sample

    def __repr__(self) -> str:
        return f'Guide({size_of(self.image)} -> {self.size}, padded to {self.padded})'

"""The unresized image, for heads that are guided by it."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsnet_mm.resizers.ops.size import Size, size_of

from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Guide:
    """A large image, and which part of the network's input shows it. In the metainfo of a data
    sample, under ``guide``.

    Attributes:
        image (Tensor): (C, H, W), as it came to the preprocessor, on its device; nobody may write
            to it.
        size (tuple[int, int]): Height and width in pixels to which it was resized.
        padded (tuple[int, int]): Those of the network's input, padded at the right and below.
    """
    image: Tensor
    size: Size
    padded: Size

    def extent(self, maps: Size) -> tuple[float, float]:
        """Rows and columns of a map of this size, made of the whole input, that show the image."""
        return extent_of(maps, self.size, self.padded)

    def __deepcopy__(self, memo: Any) -> Guide:
        # mmengine copies metainfo wherever a data sample goes.
        return self

    def __repr__(self) -> str:
        return f'Guide({size_of(self.image)} -> {self.size}, padded to {self.padded})'


def extent_of(maps: Size, size: Size, padded: Size) -> tuple[float, float]:
    """Rows and columns of a map, made of an input of the size ``padded``, that show its image."""
    rows, columns = (n * shown / whole for n, shown, whole in zip(maps, size, padded))
    return rows, columns

"""The base class of the learned resizers with convex coefficients."""
from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from dsnet_mm.resizers import pretrained
from dsnet_mm.resizers.size import Size

from torch import Tensor, nn

Net = TypeVar('Net', bound='ConvexResizer')


class ConvexResizer(nn.Module):
    """A resizer whose output pixels are convex combinations of K pixels each.

    Attributes:
        in_channels (int): Channels of the images.
        weights (str | Path, optional): The trained resizer that it started from.
        starts_as_image (bool): Whether it resizes sensibly before it is trained.
    """
    in_channels: int
    weights: str | Path | None = None
    starts_as_image = True

    @classmethod
    def from_pretrained(cls: type[Net], weights: str | Path, **options: Any) -> Net:
        """A trained resizer, with the arguments it was trained with.

        Args:
            weights (str | Path): A name or file that :mod:`dsnet_mm.resizers.pretrained` knows.
            **options: Other arguments.

        Raises:
            FileNotFoundError: If there are no such weights.
            ValueError: If they are of another kind of resizer than the class this is called on.
        """
        config = pretrained.complete({**options, 'weights': weights})
        kind = config.pop('type')
        for net in (cls, *cls.__subclasses__()):
            if net.__name__ == kind:
                return net(**config)
        raise ValueError(f'the weights {str(weights)!r} are of a {kind}: use '
                         f'{kind}.from_pretrained')

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The weights (N, K, h, w) of the K pixels behind each output pixel, row by row.

        Args:
            images (Tensor): (N, C, H, W), floating-point or unsigned 8-bit.
            size (tuple[int, int]): Height and width of the output in pixels.
        """
        raise NotImplementedError

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The weights (K, h, w) that an untrained network gives the same pixels."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Sets the weights as at the start: those given as ``weights``, otherwise drawn anew."""
        raise NotImplementedError

    def _load(self, weights: str | Path) -> None:
        pretrained.load(self, weights)

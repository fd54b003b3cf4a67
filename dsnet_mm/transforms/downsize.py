"""A trained, frozen resizer among torchvision's transforms."""
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsnet_mm.resizers import ConvexResizer, FixedResizer, OutputSize
from dsnet_mm.resizers.ops.sampling import nearest
from dsnet_mm.resizers.ops.size import Size, check_size
from dsnet_mm.transforms.frozen import FrozenResizer
from dsnet_mm.transforms.pil import resize_pil

import PIL.Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2


class Downsize(v2.Transform):
    """Resizes images by a frozen resizer; boxes and keypoints follow as in ``v2.Resize``.

    ::

        transform = v2.Compose([v2.RandomHorizontalFlip(), Downsize((320, 320), weights=...)])

    Takes what ``v2.Resize`` takes: PIL images, tensors (..., C, H, W) in RGB order and everything
    in ``tv_tensors``, alone or nested. Tensors keep their dtype; integers are rounded. For the mode
    of PIL images see :func:`~dsnet_mm.transforms.pil.resize_pil`. Masks are resized by
    ``nearest-exact``, aligned with the image; those of ``v2.Resize`` are half an output pixel off.

    Args:
        size (tuple[int, int], optional): Height and width of the resized images in pixels. Give
            exactly one of this, ``scale`` and ``short_edge``, see :class:`OutputSize`.
        scale (float | tuple[float, float], optional): Factor, or factors of height and width.
        short_edge (int, optional): The resized images' shorter side in pixels.
        weights (str | Path, optional): A trained resizer, as in
            :meth:`DownsizeNetV2.from_pretrained <dsnet_mm.DownsizeNetV2.from_pretrained>`.
        resizer (nn.Module, optional): Any resizer instead of ``weights``; it is copied and, as all
            of this package, sees BGR. Without either, bilinear interpolation, not antialiased.

    Raises:
        ValueError, TypeError: If the size is missing, ambiguous or wrong, or both weights and a
            resizer are given.
        FileNotFoundError: If there are no such weights.
    """

    def __init__(self, size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None, short_edge: int | None = None,
                 weights: str | Path | None = None, resizer: nn.Module | None = None) -> None:
        super().__init__()
        if size is not None:
            size = check_size(size)  # its error names this argument
        self.output_size = OutputSize(size, scale, short_edge)
        if weights is not None and resizer is not None:
            raise ValueError(f'give weights or a resizer, not both: got weights={str(weights)!r} '
                             f'and a {type(resizer).__name__}')
        if resizer is None:
            resizer = FixedResizer() if weights is None else ConvexResizer.from_pretrained(weights)
        self.resizer = FrozenResizer(resizer, channel_order='rgb')

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resizes one image, mask, or set of boxes or keypoints, each from its own size."""
        size_in = v2.functional.get_size(inpt)
        size = self.output_size(*size_in)
        if isinstance(inpt, PIL.Image.Image):
            return resize_pil(inpt, size, self.resizer)
        if isinstance(inpt, (tv_tensors.Image, tv_tensors.Video)):
            return tv_tensors.wrap(self._resize(inpt.as_subclass(Tensor), size), like=inpt)
        if isinstance(inpt, tv_tensors.Mask):
            rows, columns = (nearest(*sides, inpt.device) for sides in zip(size_in, size))
            pixels = inpt.as_subclass(Tensor)[..., rows[:, None], columns]
            return tv_tensors.wrap(pixels, like=inpt)
        if isinstance(inpt, tv_tensors.TVTensor):
            return v2.Resize(size, antialias=True)(inpt)
        return self._resize(inpt, size)

    _transform = transform  # its name before torchvision 0.21

    def _resize(self, images: Tensor, size: Size) -> Tensor:
        leading = images.shape[:-3]
        batch = images.reshape(math.prod(leading), *images.shape[-3:])
        return self.resizer(batch, size).reshape(*leading, -1, *size)

    def extra_repr(self) -> str:
        return repr(self.output_size)

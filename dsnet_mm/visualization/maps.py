"""Images and maps of learned coefficients as RGB pictures."""
import math
from typing import NamedTuple

from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers import ConvexResizer, GuidedUpsampling
from dsnet_mm.resizers.ops.size import Size, size_of

import matplotlib
import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid

COLORMAPS = {'argmax': 'turbo', 'entropy': 'viridis', 'distance': 'magma', 'detail': 'coolwarm'}
# Detail maps are shown from minus to plus this, in about standard deviations of an image.
DETAIL_RANGE = 3.


class Resized(NamedTuple):
    """What a resizer does to an image."""
    image: Tensor  # (C, h, w)
    maps: dict[str, Tensor]  # of coefficient_maps(), each (h, w); none without coefficients
    neighbours: int  # the number of coefficients of an output pixel
    detail: Tensor | None  # (D, h, w) detail maps


@torch.no_grad()
def resize(preprocessor: DownsizeMixin, image: Tensor) -> Resized:
    """Resizes an image (C, H, W) by a preprocessor's resizer."""
    [resized], details = preprocessor.resize_with_detail([image])
    detail = None if details is None else details[0]
    net = preprocessor.resizer
    if not isinstance(net, ConvexResizer):
        return Resized(resized, {}, 0, detail)
    images, size = image[None].to(resized.dtype), size_of(resized)
    maps = coefficient_maps(net, images, size)
    return Resized(resized, {name: values[0] for name, values in maps.items()},
                   len(net.prior(images, size)), detail)


@torch.no_grad()
def coefficient_maps(net: ConvexResizer, images: Tensor, size: Size) -> dict[str, Tensor]:
    """Three maps of a resizer's coefficients for the K neighbours of each output pixel.

    Args:
        net (ConvexResizer): The resizer.
        images (Tensor): (N, C, H, W), as ``net.coefficients`` takes them.
        size (tuple[int, int]): Height and width of the output in pixels.

    Returns:
        dict[str, Tensor]: Each (N, h, w). ``argmax``: the neighbour with the largest coefficient,
        0 to K - 1, row by row. ``entropy`` of the coefficients relative to log K: 0 where one
        neighbour is copied, 1 where all are averaged. ``distance``: the total variation distance to
        the coefficients of an untrained network, from 0, equal, to 1, no neighbour in common.
    """
    return _maps(net.coefficients(images, size), net.prior(images, size))


@torch.no_grad()
def upsampling_maps(net: GuidedUpsampling, images: Tensor, size: Size) -> dict[str, Tensor]:
    """The maps of :func:`coefficient_maps`, each (N, H, W), for guided upsampling from a size
    (h, w), guided by images (N, C, H, W), whose pixels have nine neighbours each."""
    logits = net.logits.weight.new_zeros(len(images), 1, *size)
    return _maps(net.coefficients(logits, images), net.prior(logits, images))


def _maps(coefficients: Tensor, prior: Tensor) -> dict[str, Tensor]:
    return dict(
        argmax=coefficients.argmax(dim=1),
        entropy=torch.special.entr(coefficients).sum(dim=1) / math.log(len(prior)),
        distance=(coefficients - prior).abs().sum(dim=1) / 2)


def image_to_rgb(image: Tensor, channel_order: str = 'bgr') -> np.ndarray:
    """Converts an image (1, H, W) or (3, H, W), from 0 to 255, to RGB (H, W, 3), uint8.

    ``channel_order`` is ``'bgr'``, as mmcv loads images whatever the model expects, or ``'rgb'``.

    Raises:
        ValueError: If the image has another number of channels.
    """
    if image.dim() != 3 or len(image) not in (1, 3):
        raise ValueError('can show images (1, H, W) and (3, H, W) only, '
                         f'got shape {tuple(image.shape)}')
    if channel_order == 'bgr':
        image = image.flip(0)
    pixels = image.detach().float().round().clamp(0, 255).byte()
    return pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()


def tile_detail(detail: Tensor) -> Tensor:
    """Detail maps (D, h, w) side by side, eight in a row (rows * h, at most 8 * w)."""
    return make_grid(detail[:, None], nrow=8, padding=0)[0]


def map_to_rgb(values: Tensor, colormap: str, highest: float = 1.,
               lowest: float = 0.) -> np.ndarray:
    """Colours a map (h, w) from ``lowest`` to ``highest`` as an (h, w, 3) uint8 array."""
    shares = (values.float().cpu().numpy() - lowest) / (highest - lowest)
    colors = matplotlib.colormaps[colormap](shares, bytes=True)
    return np.ascontiguousarray(colors[..., :3])

"""Images and maps of learned coefficients as RGB pictures."""
import math

from dsnet_mm.resizers import ConvexResizer, GuidedUpsampling
from dsnet_mm.resizers.ops.size import Size

import matplotlib
import numpy as np
import torch
from torch import Tensor

COLORMAPS = {'argmax': 'turbo', 'entropy': 'viridis', 'distance': 'magma'}


@torch.no_grad()
def coefficient_maps(net: ConvexResizer, images: Tensor, size: Size) -> dict[str, Tensor]:
    """Three maps that say how a network weighs the K neighbours of each output pixel.

    Args:
        net (ConvexResizer): The network; its mode is left as it is.
        images (Tensor): (N, C, H, W) floating-point, as ``net`` takes them.
        size (tuple[int, int]): Height and width of the output in pixels.

    Returns:
        dict[str, Tensor]: Each (N, h, w). ``argmax``, which neighbour weighs most, 0 to K - 1, row
        by row (the first of equals). ``entropy`` of the weights relative to log K: 0 where one
        neighbour is copied, 1 where all are averaged. ``distance``, the total variation distance
        to the weights of an untrained network: 0 where they are equal, 1 where they share none.

    Raises:
        TypeError, ValueError: As ``net.coefficients``.
    """
    return _maps(net.coefficients(images, size), net.prior(images, size))


@torch.no_grad()
def upsampling_maps(net: GuidedUpsampling, images: Tensor, size: Size) -> dict[str, Tensor]:
    """The maps of :func:`coefficient_maps` for the way back up: how each large pixel weighs the
    nine small ones around it.

    Args:
        net (GuidedUpsampling): The network.
        images (Tensor): (N, C, H, W) the large images, as ``net`` takes them.
        size (tuple[int, int]): Height and width of the small maps in pixels.

    Returns:
        dict[str, Tensor]: Each (N, H, W).

    Raises:
        TypeError, ValueError: As ``net.coefficients``.
    """
    small = net.logits.weight.new_zeros(len(images), 1, *size)
    return _maps(net.coefficients(small, images), net.prior(small, images))


def _maps(coefficients: Tensor, prior: Tensor) -> dict[str, Tensor]:
    return dict(
        argmax=coefficients.argmax(dim=1),
        entropy=torch.special.entr(coefficients).sum(dim=1) / math.log(len(prior)),
        distance=(coefficients - prior).abs().sum(dim=1) / 2)


def image_to_rgb(image: Tensor, channel_order: str = 'bgr') -> np.ndarray:
    """Converts an image to unsigned 8-bit RGB.

    Args:
        image (Tensor): (1, H, W), gray, or (3, H, W), both from 0 to 255.
        channel_order (str): ``'bgr'``, as mmcv loads images whatever the model behind wants, or
            ``'rgb'``.

    Returns:
        np.ndarray: (H, W, 3) uint8.

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


def map_to_rgb(values: Tensor, colormap: str, highest: float = 1.) -> np.ndarray:
    """Colours a map (h, w) from 0 to ``highest`` as an (h, w, 3) uint8 array."""
    colors = matplotlib.colormaps[colormap](values.float().cpu().numpy() / highest, bytes=True)
    return np.ascontiguousarray(colors[..., :3])

"""DownsizeNet: interpolation whose coefficients are inferred from texture and distance.

``downsizenet_plain.py`` is the network as the paper describes it. ``DownsizeNet`` computes the same
faster: on whole images by ``downsizenet_fast.py`` while it learns, otherwise in tiles by
``tiled.py``.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from dsnet_mm.resizers import downsizenet_fast, pretrained, tiled
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.downsizenet_plain import PlainDownsizeNet, check_switches
from dsnet_mm.resizers.ops.graphs import is_compiling
from dsnet_mm.resizers.ops.sampling import Grid, project
from dsnet_mm.resizers.ops.size import Size, check_images, check_size, size_of, to_float

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_LARGER_WINDOWS = (
    "DownsizeNet weighs the paper's four neighbours. For more use DownsizeNetV2 "
    '(dsnet_mm/resizers/downsizenet_v2.py); weights trained with a larger window need dsnet-mm '
    '0.1.0 of commit 9598a05')


class DownsizeNet(PlainDownsizeNet, ConvexResizer):
    """Resizes images by learned convex combinations of four neighbouring pixels.

    Each output pixel is projected into the input and becomes a weighted sum of the four pixels
    nearest there. The weights come from the texture around the projected point (3x3 convolutions)
    and from its distances to the four (a 1x1 layer), joined by a 1x1 convolution (Mai et al., "Task
    Generalizable Spatial and Texture Aware Image Downsizing Network", network architecture). The
    output is a real image: all channels share the weights, which are not negative and sum to 1.

    With the bilinear prior, ours on top of the paper, an untrained network is bilinear
    interpolation (``F.interpolate(mode='bilinear', align_corners=False)``). More of the pixels of a
    strongly shrunk image are seen by :class:`~dsnet_mm.resizers.DownsizeNetV2`.

    Args:
        num_convs (int): 3x3 convolutions on the texture: 2, 3 or 4 (the paper's Table 9).
        channels (int): Width of the texture and of the distance features.
        activation (str): What makes four logits coefficients: ``'softmax'``, or ``'sigmoid'``
            normalised to sum 1 (the paper's interpolation layer has both).
        use_texture (bool): Infer from texture.
        use_distance (bool): Infer from distance; ``False`` is the paper's texture-only ablation.
        in_channels (int): Channels of the images.
        bilinear_prior (bool): Multiply the coefficients onto the bilinear weights and start as
            bilinear interpolation; ``False`` infers them freely from a random start, as the paper.
        window (int): Neighbours along each axis: 2, for configs that say so.
        with_cp (bool): Compute the network's inner values again in the backward pass instead of
            keeping them: less memory, more time.
        weights (str | Path, optional): Start from a trained resizer: a name or file that
            :mod:`dsnet_mm.resizers.pretrained` knows. Its arguments must be the same;
            :meth:`from_pretrained` takes them from there.

    Raises:
        ValueError: If an argument is out of range, or the weights are of another network.
        TypeError: If a switch is not True or False.
        FileNotFoundError: If there are no such weights.
    """

    def __init__(self,
                 num_convs: int = 2,
                 channels: int = 16,
                 activation: str = 'softmax',
                 use_texture: bool = True,
                 use_distance: bool = True,
                 in_channels: int = 3,
                 bilinear_prior: bool = True,
                 window: int = 2,
                 with_cp: bool = False,
                 weights: str | Path | None = None) -> None:
        if not isinstance(window, int) or window != 2:
            raise ValueError(f'window must be 2, got {window!r}: {_LARGER_WINDOWS}')
        check_switches(with_cp=with_cp)
        super().__init__(num_convs, channels, activation, use_texture, use_distance, in_channels,
                         bilinear_prior)
        self.with_cp = with_cp
        self.starts_as_image = bilinear_prior
        self.weights = weights
        if weights is not None:
            pretrained.load(self, weights)

    def reset_parameters(self) -> None:
        """Sets the weights as at the start: those given as ``weights``, otherwise drawn anew, where
        with the prior the network is bilinear interpolation again."""
        super().reset_parameters()
        if self.weights is not None:
            pretrained.load(self, self.weights)

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images.

        Args:
            images (Tensor): (N, C, H, W), any value range, of the parameters' dtype or unsigned
                8-bit.
            size (tuple[int, int]): Height and width of the output in pixels, smaller or larger.

        Returns:
            Tensor: (N, C, h, w), each pixel between the least and the greatest of its neighbours;
            floating-point.

        Raises:
            TypeError: If the images are neither floating-point nor unsigned 8-bit, or the size not
                integers.
            ValueError: If the images are empty or have the wrong shape, or the size is wrong.
        """
        check_images(images, self.in_channels)
        size = check_size(size)
        learns = torch.is_grad_enabled() and (
            images.requires_grad or any(p.requires_grad for p in self.parameters()))
        # A graph to be compiled or exported is one of whole images: it holds for all sizes.
        if not (learns or is_compiling() or torch.jit.is_tracing()):
            return tiled.resize(self, images, size)
        images, grid = self._prepare(images, size)
        if self.with_cp and learns:
            return checkpoint(self._resize, images, grid, use_reentrant=False)
        return self._resize(images, grid)

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The weights (N, 4, h, w) of the four neighbours of each output pixel, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        images, grid = self._prepare(images, size)
        return downsizenet_fast.coefficients(self, images, grid)

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The weights (4, h, w) that the bilinear prior gives the same neighbours."""
        return self._prepare(images, size)[1].prior()

    def _prepare(self, images: Tensor, size: Size) -> tuple[Tensor, Grid]:
        """Checks the arguments; returns floating-point images and their neighbours' grid."""
        check_images(images, self.in_channels)
        images = to_float(images, self.logits.weight.dtype)
        return images, project(size_of(images), check_size(size)).to(images)

    def _resize(self, images: Tensor, grid: Grid) -> Tensor:
        return downsizenet_fast.resize(self, images, grid)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        logits = state_dict.get(f'{prefix}logits.weight')
        if logits is not None and logits.dim() == 4 and len(logits) > 4:
            raise ValueError(f'{prefix}logits.weight is for {len(logits)} neighbours of each '
                             f'output pixel: {_LARGER_WINDOWS}')
        super()._load_from_state_dict(state_dict, prefix, *args)

"""DownsizeNet: interpolation whose coefficients are inferred from texture and distance."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsnet_mm.resizers import pretrained
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.downsizenet_plain import (
    RISE,
    PlainDownsizeNet,
    check_switches,
    multiply_prior,
    standardize,
)
from dsnet_mm.resizers.ops import bands
from dsnet_mm.resizers.ops.convolution import (
    padded_convolution,
    pooled_convolution,
    strided_convolution,
)
from dsnet_mm.resizers.ops.graphs import is_exporting, needs_gradients
from dsnet_mm.resizers.ops.layers import floating_pooling, interpolate
from dsnet_mm.resizers.ops.sampling import Grid, project
from dsnet_mm.resizers.ops.size import Size, check_size, size_of, to_float

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Statistics = tuple[Tensor, Tensor]
_LARGER_WINDOWS = (
    "DownsizeNet combines the paper's four neighbours; for more use DownsizeNetV2 instead. Weights "
    'trained with a larger window need dsnet-mm 0.1.0 at commit 9598a05')


class DownsizeNet(PlainDownsizeNet, ConvexResizer):
    """Resizes images by learned convex combinations of four neighbouring pixels.

    Each output pixel is projected into the input image and combines the four pixels nearest there.
    The coefficients, which all channels share, are inferred from the texture around the projected
    point (3x3 convolutions) and its distances to the four pixels (Mai et al., "Task Generalizable
    Spatial and Texture Aware Image Downsizing Network"). With the bilinear prior, which the paper
    lacks, an untrained network is exactly ``F.interpolate(mode='bilinear')``.

    :meth:`plain` computes the network layer by layer, as the paper describes it; :meth:`forward`
    computes the same in less time, and without gradients in bands of rows.

    Args:
        num_convs (int): 3x3 convolutions of the texture branch: 2, 3 or 4 (the paper's Table 9).
        channels (int): Width of the texture and of the distance features.
        activation (str): From logits to coefficients: ``'softmax'``, or ``'sigmoid'`` normalised to
            sum 1 (the paper has both).
        use_texture (bool): Infer from texture.
        use_distance (bool): Infer from distance; ``False`` is the paper's texture-only ablation.
        in_channels (int): Channels of the images.
        bilinear_prior (bool): Multiply the coefficients onto the bilinear ones and start as
            bilinear interpolation; ``False`` starts at random, as the paper.
        window (int): Neighbours along each axis; must be 2.
        with_cp (bool): Recompute activations in the backward pass: less memory, more time.
        weights (str | Path, optional): Trained resizer to start from, a name or file that
            :mod:`dsnet_mm.resizers.pretrained` knows; the other arguments must be those it was
            trained with, which :meth:`from_pretrained` reads from the file.

    Raises:
        ValueError: If an argument is out of range, or the weights are of another network.
        TypeError: If a switch is not True or False.
        FileNotFoundError: If there are no such weights.
    """
    # Input pixels in a band; 16 channels of them take 8 MB.
    _PIXELS = 2**17

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
        """Loads the trained ``weights`` again if they were given, otherwise re-initialises."""
        super().reset_parameters()
        if self.weights is not None:
            pretrained.load(self, self.weights)

    def _infer(self, images: Tensor, size: Size) -> Tensor:
        return self._coefficients(*self._prepare(images, size))

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The coefficients (4, h, w) that the bilinear prior gives the same neighbours."""
        return self._prepare(images, check_size(size))[1].prior()

    def _prepare(self, images: Tensor, size: Size) -> tuple[Tensor, Grid]:
        """Floating-point images, and the neighbours of the output pixels in them."""
        images = to_float(images, self.logits.weight.dtype)
        return images, project(size_of(images), size).to(images)

    def _resize_whole(self, images: Tensor, size: Size) -> Tensor:
        images, grid = self._prepare(images, size)
        if self.with_cp and needs_gradients(self, images):
            return checkpoint(self._resize, images, grid, use_reentrant=False)
        return self._resize(images, grid)

    def _resize_in_bands(self, images: Tensor, size: Size) -> Tensor:
        dtype = images.dtype if images.is_floating_point() else self.logits.weight.dtype
        n, channels, height, width = images.shape
        input_rows = max(1, self._PIXELS // (n * width))
        statistics = mean_and_variance(
            part.to(dtype) for part in images.split(input_rows, dim=2))
        rows = max(1, size[0] * input_rows // height)
        out = images.new_empty((n, channels, *size), dtype=dtype)
        for band in bands.cut(project, (height, width), size, rows, len(self.texture or ()) // 2,
                              dtype, images.device):
            part = images[:, :, band.input_rows].to(dtype)
            out[:, :, band.rows] = self._resize(part, band.grid, statistics)
        return out

    def _resize(self, images: Tensor, grid: Grid, statistics: Statistics | None = None) -> Tensor:
        return interpolate(images, self._coefficients(images, grid, statistics), grid)

    def _coefficients(self, images: Tensor, grid: Grid,
                      statistics: Statistics | None = None) -> Tensor:
        """(N, 4, h, w) from floating-point images, or some of their rows with the statistics of
        the whole images."""
        height, width = grid.size()
        distinct = grid.distinct()
        logits = self._logits_of_distance(distinct).expand(len(images), -1, height * width)
        if self.texture is not None:
            texture = standardize(images, *(statistics or _mean_and_variance(images)))
            # Few channels are convolved far faster in channels-last layout.
            texture = self._pooled_texture(texture.contiguous(memory_format=torch.channels_last),
                                           grid)
            # A 1x1 convolution from channels-last to channels-first layout.
            pixels = texture.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
            weight = self.logits.weight[:, :texture.shape[1], 0, 0].expand(len(images), -1, -1)
            logits = torch.baddbmm(logits, weight, pixels)
        coefficients = self.activate(logits.unflatten(2, (height, width)))
        if self.bilinear_prior:
            coefficients = multiply_prior(coefficients, distinct.prior() + RISE)
        return coefficients

    def _logits_of_distance(self, grid: Grid) -> Tensor:
        """(4, h * w): the bias plus what the distances add to the logits."""
        if self.distance is None:
            height, width = grid.size()
            return self.logits.bias[:, None].expand(-1, height * width)
        first = self.distance[0]
        encoded = torch.addmm(first.bias[:, None], first.weight.flatten(1),
                              grid.distances().flatten(1)).relu_()
        weight = self.logits.weight[:, -first.out_channels:].flatten(1)
        return torch.addmm(self.logits.bias[:, None], weight, encoded)

    def _pooled_texture(self, features: Tensor, grid: Grid) -> Tensor:
        """``floating_pooling(self.texture(features), grid)``, with the last convolution at the
        projected points only."""
        *first, last_but_one, _, last, relu = self.texture
        for layer in first:
            features = layer(features)
        if grid.y.stride and grid.x.stride:
            return relu(strided_convolution(last, relu(last_but_one(features)), grid))
        (height, width), (h, w) = features.shape[-2:], grid.size()
        # Only few points are worth patches, whose gradients cost more than those of a whole map. A
        # graph to be exported holds for all sizes, so must not ask for them.
        if is_exporting() or (2 * h * w <= height * width
                              and not needs_gradients(last_but_one, features)):
            padded = relu(padded_convolution(last_but_one, features))
            return relu(pooled_convolution(last, padded, grid))
        return relu(floating_pooling(last(relu(last_but_one(features))), grid))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        if f'{prefix}embedding.weight' in state_dict:
            raise ValueError(
                f'{prefix}* in the checkpoint is a DownsizeNetV2, this is a DownsizeNet: set '
                "resizer=dict(type='DownsizeNetV2') in model.data_preprocessor, or remove these "
                'weights from the checkpoint')
        logits = state_dict.get(f'{prefix}logits.weight')
        if logits is not None and logits.dim() == 4 and len(logits) > 4:
            raise ValueError(f'{prefix}logits.weight is for {len(logits)} neighbours of each '
                             f'output pixel: {_LARGER_WINDOWS}')
        super()._load_from_state_dict(state_dict, prefix, *args)


def mean_and_variance(parts: Iterable[Tensor]) -> Statistics:
    """Mean and variance (N, C, 1, 1) of each channel of each image, in single precision or better,
    from all rows of the images in parts (N, C, H_i, W)."""
    parts = iter(parts)
    first = next(parts)
    mean, variance = _mean_and_variance(first)
    height = first.shape[2]
    for part in parts:
        part_mean, part_variance = _mean_and_variance(part)
        height += part.shape[2]
        share, difference = part.shape[2] / height, part_mean - mean
        # In place: new results would lie in the gaps that the parts leave in memory, and the next
        # part would find none of its size.
        mean += share * difference
        variance += share * (part_variance - variance + (1 - share) * difference.square())
    return mean, variance


def _mean_and_variance(images: Tensor) -> Statistics:
    # PyTorch 2.1 cannot compile promote_types().
    images = images if images.dtype == torch.float64 else images.float()
    mean = images.mean(dim=(2, 3), keepdim=True)
    deviation = torch.linalg.vector_norm(images - mean, dim=(2, 3), keepdim=True)
    return mean, deviation.square() / images[0, 0].numel()

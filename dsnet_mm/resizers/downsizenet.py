"""DownsizeNet: interpolation whose coefficients are inferred from texture and distance."""
from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from dsnet_mm.compat.versions import is_compiling, is_exporting
from dsnet_mm.resizers import sampling, tiled
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.layers import (
    floating_pooling,
    interpolate,
    moments,
    padded_convolution,
    pooled_convolution,
    standardize,
    strided_convolution,
)
from dsnet_mm.resizers.size import (
    Size,
    check_images,
    check_positive,
    check_size,
    size_of,
    to_float,
)

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_LARGER_WINDOWS = (
    "DownsizeNet weighs the paper's four neighbours. For more use DownsizeNetV2 "
    '(dsnet_mm/resizers/downsizenet_v2.py); weights trained with a larger window need dsnet-mm '
    '0.1.0 of commit 9598a05')


class Constants(NamedTuple):
    """What of the coefficients no image changes.

    Attributes:
        logits (Tensor): (4, h, w) the distances' share in the logits.
        prior (Tensor, optional): (4, h, w) what the coefficients are multiplied with.
    """
    logits: Tensor
    prior: Tensor | None


class DownsizeNet(ConvexResizer):
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
    ACTIVATIONS = ('softmax', 'sigmoid')

    # Multiplied alone, a weight of zero would stay zero and never learn, and at odd integer ratios
    # three of the four bilinear weights are. So this much times coefficient / mean - 1 is added to
    # each of them.
    _RISE = 0.1

    # Sequential or None, Sequential or None, Conv2d; no type checker knows what is in a Sequential.
    texture: Any
    distance: Any
    logits: Any

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
        super().__init__()
        if num_convs not in (2, 3, 4):
            raise ValueError(f'num_convs must be 2, 3 or 4, got {num_convs!r}')
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation must be one of {self.ACTIVATIONS}, got {activation!r}')
        check_positive(channels=channels, in_channels=in_channels)
        for name, value in dict(use_texture=use_texture, use_distance=use_distance,
                                bilinear_prior=bilinear_prior, with_cp=with_cp).items():
            if not isinstance(value, bool):
                raise TypeError(f'{name} must be True or False, got {value!r}')
        if not (use_texture or use_distance):
            raise ValueError('use_texture and use_distance cannot both be False: '
                             "for fixed weights use FixedResizer(mode='bilinear')")
        if not isinstance(window, int) or window != 2:
            raise ValueError(f'window must be 2, got {window!r}: {_LARGER_WINDOWS}')
        self.activation = activation
        self.in_channels = in_channels
        self.bilinear_prior = bilinear_prior
        self.with_cp = with_cp
        self.weights = weights
        self.starts_as_image = bilinear_prior
        self.texture = None
        if use_texture:
            widths = [in_channels] + num_convs * [channels]
            self.texture = nn.Sequential(*(
                layer for pair in zip(widths, widths[1:])
                for layer in (nn.Conv2d(*pair, 3, padding=1), nn.ReLU(inplace=True))))
        self.distance = None
        if use_distance:
            self.distance = nn.Sequential(nn.Conv2d(4, channels, 1), nn.ReLU())
        self.logits = nn.Conv2d(channels * (use_texture + use_distance), 4, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weights as at the start: those given as ``weights``, otherwise drawn anew, where
        with the prior the network is bilinear again."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
        if self.bilinear_prior:
            nn.init.zeros_(self.logits.weight)
            nn.init.zeros_(self.logits.bias)
        if self.weights is not None:
            self._load(self.weights)

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
        images = to_float(images, self.logits.weight.dtype)
        grid = self._project(images, size)
        if self.with_cp and learns:
            return checkpoint(self.resize_part, images, grid, *self._moments(images),
                              use_reentrant=False)
        return self.resize_part(images, grid, *self._moments(images))

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The weights (N, 4, h, w) of the four neighbours of each output pixel, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        images, grid = self._prepare(images, size)
        return self._coefficients(images, grid, *self._moments(images))

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The weights (4, h, w) that the bilinear prior gives the same neighbours."""
        return self._prepare(images, size)[1].prior()

    def plain(self, images: Tensor, size: Size) -> Tensor:
        """What :meth:`forward` computes, as the paper describes it: every layer on the whole image.

        The reference that the faster ways are tested and measured against. Arguments and errors
        are those of :meth:`forward`.
        """
        images, grid = self._prepare(images, size)
        features = []
        if self.texture is not None:
            variance, mean = torch.var_mean(images, dim=(2, 3), correction=0, keepdim=True)
            # In the layout of images, not in the faster one.
            texture = self.texture(standardize(images, mean, variance).contiguous())
            features.append(floating_pooling(texture, grid))
        if self.distance is not None:
            encoded = self.distance(grid.distances()[None])
            features.append(encoded.expand(len(images), -1, -1, -1))
        logits = self.logits(torch.cat(features, dim=1))
        return interpolate(images, self._weigh(logits, self._raised_prior(grid)), grid)

    def resize_part(self, images: Tensor, grid: sampling.Grid, mean: Tensor, variance: Tensor,
                    constants: Constants | None = None) -> Tensor:
        """Resizes a part of images, or all of them.

        Args:
            images (Tensor): (N, C, H, W), floating-point.
            grid (Grid): Where the output pixels fall in it.
            mean (Tensor): (N, C, 1, 1) of the whole images.
            variance (Tensor): (N, C, 1, 1) of the whole images.
            constants (Constants, optional): What :meth:`constants` says of the grid, if it is known
                already.
        """
        coefficients = self._coefficients(images, grid, mean, variance, constants)
        return interpolate(images, coefficients, grid)

    def constants(self, grid: sampling.Grid) -> Constants:
        """What of the coefficients no image changes."""
        size = len(grid.y.lower), len(grid.x.lower)
        if self.distance is None:
            logits = self.logits.bias[:, None, None].expand(-1, *size)
        else:
            first, distances = self.distance[0], grid.distances().flatten(1)
            encoded = torch.addmm(first.bias[:, None], first.weight.flatten(1), distances).relu_()
            weight = self.logits.weight[:, -first.out_channels:].flatten(1)
            logits = torch.addmm(self.logits.bias[:, None], weight, encoded).unflatten(1, size)
        return Constants(logits, self._raised_prior(grid))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        logits = state_dict.get(f'{prefix}logits.weight')
        if logits is not None and logits.dim() == 4 and len(logits) > 4:
            raise ValueError(f'{prefix}logits.weight is for {len(logits)} neighbours of each '
                             f'output pixel: {_LARGER_WINDOWS}')
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _raised_prior(self, grid: sampling.Grid) -> Tensor | None:
        return grid.prior() + self._RISE if self.bilinear_prior else None

    def _coefficients(self, images: Tensor, grid: sampling.Grid, mean: Tensor, variance: Tensor,
                      constants: Constants | None = None) -> Tensor:
        logits, prior = constants or self.constants(grid)
        logits = logits.expand(len(images), -1, -1, -1)
        if self.texture is not None:
            texture = self._pooled_texture(standardize(images, mean, variance), grid)
            # The 1x1 convolution of channels that lie last: its result lies with them first.
            pixels = texture.permute(0, 2, 3, 1).flatten(1, 2)
            weight = self.logits.weight[:, :texture.shape[1], 0, 0].expand(len(images), -1, -1)
            logits = torch.baddbmm(logits.flatten(2), weight, pixels.mT).view(logits.shape)
        return self._weigh(logits, prior)

    def _pooled_texture(self, features: Tensor, grid: sampling.Grid) -> Tensor:
        *layers, last_but_one, _, last, relu = self.texture
        for layer in layers:
            features = layer(features)
        if grid.y.stride and grid.x.stride:
            return relu(strided_convolution(last, relu(last_but_one(features)), grid))
        (height, width), h, w = features.shape[-2:], len(grid.y.lower), len(grid.x.lower)
        learns = torch.is_grad_enabled() and (
            features.requires_grad or last_but_one.weight.requires_grad)
        # A graph to be exported cannot ask for the sizes. Gradients of patches cost more than those
        # of a whole map.
        if is_exporting() or not learns and 2 * h * w <= height * width:
            padded = relu(padded_convolution(last_but_one, features))
            return relu(pooled_convolution(last, padded, grid))
        return relu(floating_pooling(last(relu(last_but_one(features))), grid))

    def _weigh(self, logits: Tensor, prior: Tensor | None) -> Tensor:
        """From logits to coefficients."""
        coefficients = self._activate(logits)
        if prior is None:
            return coefficients
        # Equal coefficients leave the prior's weights as they are.
        fall = prior.new_full((), -self._RISE / 4)
        weights = torch.addcmul(fall, coefficients, prior)
        # Cut at zero. Not by clamp: a weight of exactly zero must keep its gradient.
        weights = F.threshold(weights, -torch.finfo(weights.dtype).tiny, 0)
        return weights / weights.sum(dim=1, keepdim=True)

    def _prepare(self, images: Tensor, size: Size) -> tuple[Tensor, sampling.Grid]:
        """Checked arguments: the images as floats, and where the output pixels fall in them."""
        check_images(images, self.in_channels)
        images = to_float(images, self.logits.weight.dtype)
        return images, self._project(images, check_size(size))

    def _project(self, images: Tensor, size: Size) -> sampling.Grid:
        # Strides that depend on sizes would be a graph each.
        grid = sampling.project(size_of(images), size, strided=not is_compiling())
        return sampling.Grid(*(axis.to(images) for axis in grid))

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return moments(images, images.dtype, budget=images.numel())

    def _activate(self, logits: Tensor) -> Tensor:
        if self.activation == 'sigmoid':
            # sigmoid / sum of sigmoids, without dividing 0 by 0 where all four vanish
            logits = F.logsigmoid(logits)
        return logits.softmax(dim=1)

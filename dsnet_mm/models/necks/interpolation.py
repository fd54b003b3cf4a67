"""Learned interpolation of one feature map, a part of the necks and heads."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsnet_mm.registry import MODELS
from dsnet_mm.resizers import DownsizeNet, OutputSize
from dsnet_mm.resizers.ops.layers import interpolate
from dsnet_mm.resizers.ops.sampling import project
from dsnet_mm.resizers.ops.size import Size, check_images, check_positive, check_size, size_of

import torch
from mmengine.model import weight_init
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@MODELS.register_module()
class LearnedInterpolation(nn.Module):
    """Resizes a feature map by learned convex combinations of neighbouring positions.

    A 1x1 convolution compresses the map to a few channels, whose texture a DownsizeNet turns into
    coefficients. Untrained it is ``F.interpolate(mode='bilinear', align_corners=False)``.

    It is an upsample layer for mmcv's ``build_upsample_layer`` as well::

        dict(type='dsnet_mm.LearnedInterpolation', in_channels=64, scale_factor=2)

    Building and initialising it takes no random numbers from the rest of the model, and a model's
    ``init_cfg`` does not reach its weights.

    Args:
        in_channels (int): Channels C of the map.
        scale_factor (float | tuple[float, float], optional): Factor for both sides, or for height
            and width; sizes round down. Only for calls without a size.
        compressed_channels (int): Channels that the texture is taken from.
        groups (int): How many groups of adjacent channels have coefficients of their own; by
            default all channels share them.
        **options: Those of :class:`~dsnet_mm.resizers.DownsizeNet`, such as ``num_convs``
            or ``channels``.

    Raises:
        ValueError: If an argument is out of range, or the groups do not divide the channels.
        TypeError: If the factor is not a number, or an option unknown.
    """

    def __init__(self,
                 in_channels: int,
                 scale_factor: float | Sequence[float] | None = None,
                 compressed_channels: int = 16,
                 groups: int = 1,
                 **options: Any) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, compressed_channels=compressed_channels,
                       groups=groups)
        if in_channels % groups:
            raise ValueError(f'groups={groups} must divide in_channels={in_channels}')
        self.in_channels = in_channels
        self.groups = groups
        self.output_size = None if scale_factor is None else OutputSize(scale=scale_factor)
        with torch.random.fork_rng(devices=[]):
            # The bias is for a map of zeros, which could not be standardised.
            self.compress = nn.Conv2d(in_channels, groups * compressed_channels, 1)
            self.net = DownsizeNet(in_channels=compressed_channels, use_texture=True, **options)

    def forward(self, features: Tensor, size: Size | None = None) -> Tensor:
        """Resizes a feature map.

        Args:
            features (Tensor): (N, C, H, W), floating-point.
            size (tuple[int, int], optional): Height and width of the output; by default those that
                ``scale_factor`` gives.

        Returns:
            Tensor: (N, C, h, w), each value between the least and the greatest of its neighbours in
            the same channel.

        Raises:
            TypeError, ValueError: If the map has the wrong type or shape, or the size is wrong.
        """
        check_images(features, self.in_channels)
        size = self._size(features, size)
        if self.net.with_cp and torch.is_grad_enabled():
            return checkpoint(self._resize, features, size, use_reentrant=False)
        return self._resize(features, size)

    def coefficients(self, features: Tensor, size: Size | None = None) -> Tensor:
        """The coefficients (N, groups, 4, h, w) of the four neighbours of each output position,
        row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        check_images(features, self.in_channels)
        size = self._size(features, size)
        return self._coefficients(features, size).unflatten(0, (-1, self.groups))

    def apply(self, fn: Callable[[nn.Module], None]) -> LearnedInterpolation:
        """Applies a function to all modules, except one by which mmengine initialises them.

        A model's ``init_cfg`` would undo the bilinear start, and draw random numbers that change
        what other modules start from.
        """
        initializes = getattr(fn, '__module__', None) == weight_init.__name__
        return self if initializes else super().apply(fn)

    def _resize(self, features: Tensor, size: Size) -> Tensor:
        coefficients = self._coefficients(features, size)
        values = features.reshape(len(coefficients), -1, *features.shape[-2:])
        grid = project(size_of(features), size).to(features)
        resized = interpolate(values, coefficients, grid)
        return resized.reshape(*features.shape[:2], *size)

    def _coefficients(self, features: Tensor, size: Size) -> Tensor:
        """The coefficients (N * groups, 4, h, w), each group taken as an image of its own."""
        texture = self.compress(features).reshape(
            len(features) * self.groups, -1, *features.shape[-2:])
        # In half precision a map of small values could not be standardised.
        return self.net.coefficients(texture.to(self.net.logits.weight.dtype), size)

    def _size(self, features: Tensor, size: Size | None) -> Size:
        if size is not None:
            return check_size(size)
        if self.output_size is None:
            raise ValueError('which size? Build LearnedInterpolation with scale_factor=2, or call '
                             'it with size=(h, w)')
        return self.output_size(*size_of(features))

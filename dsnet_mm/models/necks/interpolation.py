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

    A 1x1 convolution compresses the map to a few channels; from their texture a DownsizeNet infers
    the coefficients. Untrained it is ``F.interpolate(mode='bilinear', align_corners=False)``.

    mmcv's ``build_upsample_layer`` builds it as well::

        dict(type='dsnet_mm.LearnedInterpolation', in_channels=64, scale_factor=2)

    It is initialised under a separate random state, out of reach of a model's ``init_cfg``.

    Args:
        in_channels (int): Channels C of the map.
        scale_factor (float | tuple[float, float], optional): Factor, or factors of height and
            width, for calls without a size; rounds down.
        compressed_channels (int): Channels to infer coefficients from.
        groups (int): Number of groups of adjacent channels, each with its own coefficients.
        **options (Any): Those of :class:`~dsnet_mm.resizers.DownsizeNet`, such as ``num_convs`` or
            ``channels``.

    Raises:
        ValueError, TypeError: If an argument is wrong or unknown.
    """

    def __init__(self, in_channels: int, scale_factor: float | Sequence[float] | None = None,
                 compressed_channels: int = 16, groups: int = 1, **options: Any) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, compressed_channels=compressed_channels,
                       groups=groups)
        if in_channels % groups:
            raise ValueError(f'groups={groups} must divide in_channels={in_channels}')
        self.in_channels, self.groups = in_channels, groups
        self.output_size = None if scale_factor is None else OutputSize(scale=scale_factor)
        with torch.random.fork_rng(devices=[]):
            # Without a bias, standardising a map of zeros would divide by zero.
            self.compress = nn.Conv2d(in_channels, groups * compressed_channels, 1)
            self.net = DownsizeNet(in_channels=compressed_channels, use_texture=True, **options)

    def forward(self, features: Tensor, size: Size | None = None) -> Tensor:
        """Resizes a feature map.

        Args:
            features (Tensor): (N, C, H, W), floating-point.
            size (tuple[int, int], optional): Height and width; by default by ``scale_factor``.

        Returns:
            Tensor: (N, C, h, w), each value between the least and the greatest of its neighbours.

        Raises:
            TypeError, ValueError: If the map has the wrong type or shape, or the size is wrong.
        """
        size = self._checked(features, size)
        if self.net.with_cp and torch.is_grad_enabled():
            return checkpoint(self._resize, features, size, use_reentrant=False)
        return self._resize(features, size)

    def coefficients(self, features: Tensor, size: Size | None = None) -> Tensor:
        """The coefficients (N, groups, 4, h, w) of the four neighbours of each output position,
        row by row; arguments and errors as of :meth:`forward`."""
        size = self._checked(features, size)
        return self._coefficients(features, size).unflatten(0, (-1, self.groups))

    def apply(self, fn: Callable[[nn.Module], None]) -> LearnedInterpolation:
        """Ignores mmengine's initialisation, which would undo the bilinear start and draw random
        numbers that change the initial weights of other modules."""
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
        # Half precision is too coarse to standardise a map of small values.
        return self.net.coefficients(texture.to(self.net.logits.weight.dtype), size)

    def _checked(self, features: Tensor, size: Size | None) -> Size:
        check_images(features, self.in_channels)
        if size is not None:
            return check_size(size)
        if self.output_size is None:
            raise ValueError('which size? Build LearnedInterpolation with scale_factor=2, or call '
                             'it with size=(h, w)')
        return self.output_size(*size_of(features))

"""DownsizeNetV2: a content-adaptive convex kernel for every output pixel."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from dsnet_mm.resizers import pretrained
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.ops import bands, sampling
from dsnet_mm.resizers.ops.graphs import is_compiling, is_exporting
from dsnet_mm.resizers.ops.layers import (
    relative_contrast,
    softmax,
    softmax_weighted_sum,
    weighted_sum,
    zero_sum,
)
from dsnet_mm.resizers.ops.size import Size, check_positive, check_size, size_of, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DownsizeNetV2(ConvexResizer):
    """Resizes images with a content-adaptive convex kernel for every output pixel.

    1. The input image is sampled at the output pixels' centres, edges and corners, by interpolation
       without parameters. From here on the ratio is exactly 2, whatever the images' sizes.
    2. Each output pixel is a convex combination of the 3x3 samples on it. A strided convolution
       embeds these, a 3x3 convolution adds their surroundings, and a 1x1 convolution and softmax
       give the nine coefficients, which all channels share.

    Untrained it is bilinear interpolation but for 0.8 % of the coefficients' mass, which is spread
    over all samples so that each gets a gradient. The coefficients depend on local contrast alone:
    ``net(a * images + b) = a * net(images) + b`` for ``a > 0``, as long as contrast is well above a
    thousandth of the brightness. Crops give the same pixels away from their borders.

    Args:
        channels (int): Width of the network.
        prior (str): What an untrained network is: ``'bilinear'`` is
            ``F.interpolate(mode='bilinear')`` down to scale 0.25, below which it samples an
            antialiased image; ``'antialias'`` is about
            ``F.interpolate(mode='bilinear', antialias=True)``.
        in_channels (int): Channels of the images.
        detail_channels (int, optional): Number of detail maps, which carry what the resized image
            cannot: a 1x1 convolution of the network's features. The output has them behind the
            image's channels, for a :func:`~dsnet_mm.DetailBackbone`. By default none.
        weights (str | Path, optional): Trained resizer to start from, a name or file that
            :mod:`dsnet_mm.resizers.pretrained` knows.

    Raises:
        ValueError: If an argument is out of range, or the weights are of another network.
        FileNotFoundError: If there are no such weights.
    """
    # Relative coefficients of the three samples along one axis.
    PRIORS = {'bilinear': (0., 1., 0.), 'antialias': (1., 2., 1.)}

    # Output pixels in a band.
    _PIXELS = 2**16
    # Gives untrained maps of photographs about the standard deviation of a normalised image; in any
    # value range, as features depend on relative contrast.
    _DETAIL_SCALE = 10.06

    log_prior: Tensor
    # Conv2d with a bias, which mypy takes for optional.
    embedding: Any
    logits: Any

    def __init__(self,
                 channels: int = 16,
                 prior: str = 'bilinear',
                 in_channels: int = 3,
                 detail_channels: int | None = None,
                 weights: str | Path | None = None) -> None:
        super().__init__()
        check_positive(channels=channels, in_channels=in_channels)
        if detail_channels is not None:
            check_positive(detail_channels=detail_channels)
        if prior not in self.PRIORS:
            raise ValueError(f'prior must be one of {tuple(self.PRIORS)}, got {prior!r}')
        self.in_channels = in_channels
        self.detail_channels = detail_channels or 0
        self.weights = weights
        line = torch.tensor(self.PRIORS[prior]) / sum(self.PRIORS[prior])
        start = (line[:, None] * line).flatten() + 1e-3
        self.register_buffer('log_prior', (start / start.sum()).log(), persistent=False)
        self.embedding = nn.Conv2d(in_channels, channels, 3, stride=2)
        self.context = nn.Conv2d(channels, channels, 3)
        self.logits = nn.Conv2d(channels, 9, 1)
        self.detail = None
        if detail_channels is not None:
            self.detail = nn.Conv2d(channels, detail_channels, 1, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in filter(None, (self.embedding, self.context, self.detail)):
            module.reset_parameters()
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        if self.weights is not None:
            pretrained.load(self, self.weights)

    def _infer(self, images: Tensor, size: Size) -> Tensor:
        samples = self._samples(images, self._grid(images, size))
        return self._coefficients(self._features(samples), samples.dtype)

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The coefficients (9, h, w) that an untrained network gives the same samples."""
        return self.log_prior.exp()[:, None, None].expand(-1, *check_size(size))

    def _grid(self, images: Tensor, size: Size) -> sampling.Grid:
        return dense_grid(size_of(images), size).to(self.log_prior)

    def _resize_whole(self, images: Tensor, size: Size) -> Tensor:
        return self._resize(images, self._grid(images, size))

    def _resize_in_bands(self, images: Tensor, size: Size) -> Tensor:
        n, channels = images.shape[:2]
        out = self.log_prior.new_empty((n, channels + self.detail_channels, *size))
        rows = max(1, self._PIXELS // (len(images) * size[1]))
        for band in bands.cut(dense_grid, size_of(images), size, rows, 0, self.log_prior.dtype,
                              images.device):
            out[:, :, band.rows] = self._resize(images[:, :, band.input_rows], band.grid)
        return out

    def _samples(self, images: Tensor, grid: sampling.Grid) -> Tensor:
        """(N, C, 2, 2, h + 3, w + 3): the dense samples, edge and centre of each cell."""
        if is_compiling():
            return _samples_by_any_taps(images, grid, self.log_prior.dtype)
        images = to_float(images, self.log_prior.dtype)
        rows = weighted_sum(grid.y.weights[..., None],
                            (images.index_select(2, index) for index in grid.y.neighbours))
        phases = zip(grid.x.weights.chunk(2, dim=1), grid.x.neighbours.chunk(2, dim=1))
        columns = [weighted_sum(weights, (rows.gather(3, index.expand(*rows.shape[:3], -1))
                                          for index in neighbours))
                   for weights, neighbours in phases]
        return torch.stack([each.unflatten(2, (2, -1)) for each in columns], dim=3)

    def _resize(self, images: Tensor, grid: sampling.Grid) -> Tensor:
        samples = self._samples(images, grid)
        features = self._features(samples)
        h, w = features.shape[-2:]
        # The first cell is there for the 3x3 convolution.
        values = (samples[:, :, y % 2, x % 2, 1 + y // 2:1 + y // 2 + h, 1 + x // 2:1 + x // 2 + w]
                  for y in range(3) for x in range(3))
        if is_exporting():
            image = softmax_weighted_sum(self._logits(features).to(samples.dtype), values)
        else:
            coefficients = self._coefficients(features, samples.dtype)
            image = weighted_sum(coefficients.unsqueeze(2).unbind(1), values)
        if self.detail is None:
            return image
        detail = F.conv2d(features, self._DETAIL_SCALE * self.detail.weight)
        return torch.cat([image, detail.to(image.dtype)], dim=1)

    def _features(self, samples: Tensor) -> Tensor:
        # The strided convolution, on cells. Channels last throughout: a gradient in another layout
        # than its features takes far longer.
        cells = samples.flatten(1, 3).contiguous(memory_format=torch.channels_last)
        kernel = F.pixel_unshuffle(F.pad(zero_sum(self.embedding.weight), (0, 1, 0, 1)), 2)
        contrast = F.conv2d(cells, kernel)
        features = relative_contrast(contrast, samples[:, :, 1, 1, :-1, :-1],
                                     self.embedding.bias)
        return self.context(features).relu_()

    def _logits(self, features: Tensor) -> Tensor:
        return F.conv2d(features, self.logits.weight, self.logits.bias + self.log_prior)

    def _coefficients(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        if is_compiling():
            return softmax(self._logits(features).to(dtype))
        # A matrix product, after which the map of each coefficient is contiguous.
        n, _, h, w = features.shape
        bias = self.logits.bias + self.log_prior
        logits = torch.addmm(bias[:, None], self.logits.weight.flatten(1),
                             features.transpose(0, 1).flatten(1))
        return logits.softmax(dim=0, dtype=dtype).reshape(-1, n, h, w).transpose(0, 1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        if f'{prefix}embedding.weight' not in state_dict and any(
                f'{prefix}{part}.0.weight' in state_dict for part in ('texture', 'distance')):
            raise ValueError(
                f'{prefix}* in the checkpoint is a DownsizeNet, this is a DownsizeNetV2 (the '
                "default): set resizer=dict(type='DownsizeNet') in model.data_preprocessor, or "
                'remove these weights from the checkpoint')
        super()._load_from_state_dict(state_dict, prefix, *args)


def _samples_by_any_taps(images: Tensor, grid: sampling.Grid, dtype: torch.dtype) -> Tensor:
    """``_samples`` in a graph, where the number of neighbours of a sample is dynamic."""
    def along_rows(values: Tensor, axis: sampling.Axis) -> Tensor:
        # The edges (N, C, 1, h, W), then the centres.
        number, points = axis.neighbours.shape
        taps = to_float(values.index_select(2, axis.neighbours.t().flatten()), dtype)
        taps = taps.unflatten(2, (2, points // 2, number))
        weights = axis.weights.t().reshape(2, points // 2, 1, number)
        if is_exporting():  # onnxruntime takes half the time for a matrix product
            return (weights @ taps).squeeze(4)
        return (taps * weights.transpose(2, 3)).sum(dim=4)

    rows = along_rows(images, grid.y).flatten(1, 2)
    columns = along_rows(rows.transpose(2, 3), grid.x)
    return columns.transpose(3, 4).unflatten(1, (-1, 2))


def dense_grid(size_in: Size, size_out: Size) -> sampling.Grid:
    """The neighbours of the dense samples, with a margin that the 3x3 convolution sees."""
    return sampling.Grid(*(sampling.dense(*sizes, margin=2) for sizes in zip(size_in, size_out)))

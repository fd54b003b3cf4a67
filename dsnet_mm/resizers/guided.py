"""Guided upsampling: logits or other maps to the size of the input image, which guides them."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsnet_mm.resizers import pretrained
from dsnet_mm.resizers.ops import bands, sampling
from dsnet_mm.resizers.ops.layers import relative_contrast, softmax, weighted_sum, zero_sum
from dsnet_mm.resizers.ops.sampling import Axis, Grid
from dsnet_mm.resizers.ops.size import Size, check_images, check_positive, size_of, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Extent = tuple[float, float]


class GuidedUpsampling(pretrained.Pretrained):
    """Upsamples maps with a content-adaptive convex kernel for every output pixel.

    For the logits of a segmenter behind a resizer: the input image shows where the edges run. For
    each output pixel two 3x3 convolutions read the texture of the image, its position between the
    pixels of the map is added, and a 1x1 convolution and softmax give the coefficients of the 3x3
    nearest pixels of the map, which all channels share.

    Untrained it is ``F.interpolate(mode='bilinear')`` but for 0.8 % of the coefficients' mass,
    which is spread over all nine so that each gets a gradient. As in
    :class:`~dsnet_mm.resizers.DownsizeNetV2` the coefficients depend on local contrast alone.

    Args:
        guide_channels (int): Channels of the input image.
        channels (int): Width of the network.
        density (int, optional): Read the texture at this multiple of the maps' size, from an
            antialiased image, and interpolate it: less computation at small scales. By default at
            the size of the input image.
        weights (str | Path, optional): File of ``dsnet-mm publish --upsampling`` to start from.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: If an argument is not a positive integer, or the weights do not fit.
    """
    _MARGIN = 2  # pixels around each one that the convolutions see
    _PIXELS = 2**15  # output pixels in a band
    _LEAK = 1e-3  # added to the bilinear coefficients

    # Conv2d with a bias, which mypy takes for optional.
    embedding: Any
    logits: Any

    def __init__(self, guide_channels: int = 3, channels: int = 8,
                 density: int | None = None, weights: str | Path | None = None) -> None:
        super().__init__()
        check_positive(guide_channels=guide_channels, channels=channels)
        if density is not None:
            check_positive(density=density)
        self.guide_channels = guide_channels
        self.density = density
        self.weights = weights
        self.embedding = nn.Conv2d(guide_channels, channels, 3)
        self.context = nn.Conv2d(channels, channels, 3)
        self.place = nn.Linear(2, channels, bias=False)
        self.logits = nn.Conv2d(channels, 9, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Loads the trained ``weights`` again if they were given, otherwise re-initialises."""
        for module in (self.embedding, self.context, self.place):
            module.reset_parameters()
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        if self.weights is not None:
            pretrained.load(self, self.weights)

    def forward(self, small: Tensor, guide: Tensor, extent: Extent | None = None,
                rows: slice | None = None) -> Tensor:
        """Upsamples maps.

        Args:
            small (Tensor): (N, C, h, w) the maps, floating-point.
            guide (Tensor): (N, c, H, W) the input images, any value range, floating-point or
                unsigned 8-bit.
            extent (tuple[float, float], optional): Rows and columns of the maps that the images
                show, from the top left; those beyond are of padding. All by default.
            rows (slice, optional): Rows of the output to compute; all by default.

        Returns:
            Tensor: (N, C, H, W), or the given rows of it, in the maps' dtype; each pixel between
            the least and the greatest of the nine pixels that it combines.

        Raises:
            TypeError: If the maps are not floating-point, or the images neither that nor unsigned
                8-bit.
            ValueError: If something is empty or has the wrong shape, the extent is wrong, or the
                images are smaller than the extent.
        """
        small, guide, extent = self._checked(small, guide, extent)
        grid = _grid(small, guide, extent, self.logits.weight)
        if not bands.apply_to(self, small, guide):
            grid = _rows_of(grid, rows)
            return _combine(small, self._coefficients(self._texture(guide, extent)(rows), grid),
                            grid)
        texture = self._texture(guide, extent, in_bands=True)
        height, width = size_of(guide)
        rows = slice(0, height) if rows is None else rows
        out = small.new_empty((*small.shape[:2], rows.stop - rows.start, width))
        for band in self._bands(guide, rows):
            part = _rows_of(grid, band)
            _combine_into(out[:, :, band.start - rows.start:band.stop - rows.start], small,
                          self._coefficients(texture(band), part), part)
        return out

    def coefficients(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """The coefficients (N, 9, H, W) of the pixels of the map, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        small, guide, extent = self._checked(small, guide, extent)
        grid = _grid(small, guide, extent, self.logits.weight)
        return self._coefficients(self._texture(guide, extent)(None), grid)

    def prior(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """The coefficients (9, H, W) that an untrained network gives the same pixels."""
        small, guide, extent = self._checked(small, guide, extent)
        bilinear = _grid(small, guide, extent, self.logits.weight).prior()
        return (bilinear + self._LEAK) / (1 + 9 * self._LEAK)

    def _coefficients(self, texture: Tensor, grid: Grid) -> Tensor:
        y, x = grid
        down, across = self.place.weight.unbind(1)
        place = (down[:, None, None] * y.fraction[:, None] + across[:, None, None] * x.fraction)
        features = (texture + place).relu_()
        # A 1x1 convolution from any layout to channels first.
        bias = self.logits.bias[:, None] + (grid.prior().flatten(1) + self._LEAK).log()
        kernel = self.logits.weight.flatten(1).expand(len(features), -1, -1)
        logits = torch.baddbmm(bias.expand(len(features), -1, -1), kernel, features.flatten(2))
        return softmax(logits).unflatten(2, features.shape[-2:])

    def _bands(self, images: Tensor, rows: slice | None = None) -> list[slice]:
        n, _, height, width = images.shape
        return bands.split(rows or slice(0, height), max(1, self._PIXELS // (n * width)))

    def _texture(self, guide: Tensor, extent: Extent,
                 in_bands: bool = False) -> Callable[[slice | None], Tensor]:
        """A function that returns the texture (N, channels, rows, W) of some rows, or of all."""
        if self.density is None:
            return lambda band: self._convolved(guide, band)
        size = size_of(guide)
        if torch.jit.is_tracing():  # sizes are tensors, which Python does not round
            extent = float(extent[0]), float(extent[1])
        dense = [min(round(self.density * n), most) for n, most in zip(extent, size)]
        guide = F.interpolate(to_float(guide, self.logits.weight.dtype), dense, mode='bilinear',
                              antialias=True)
        y, x = (axis.to(guide) for axis in sampling.project(size_of(guide), size, strided=False))
        # Columns are quickly read in channels-first layout.
        texture = torch.cat([_interpolate(self._convolved(guide, band).contiguous(), x, 3)
                             for band in (self._bands(guide) if in_bands else [None])], dim=2)
        return lambda band: _interpolate(texture, y if band is None else y.select(band), 2)

    def _convolved(self, guide: Tensor, band: slice | None) -> Tensor:
        margin = above = below = self._MARGIN
        if band is not None:  # with the margin around it, as far as the image reaches
            top, bottom = band.start - margin, band.stop + margin - guide.shape[2]
            guide = guide[:, :, max(top, 0):band.stop + margin]
            above, below = max(-top, 0), max(bottom, 0)
        pixels = F.pad(to_float(guide, self.logits.weight.dtype), (margin, margin, above, below),
                       mode='replicate')
        contrast = F.conv2d(pixels.contiguous(memory_format=torch.channels_last),
                            zero_sum(self.embedding.weight))
        return self.context(relative_contrast(contrast, pixels[:, :, 1:-1, 1:-1],
                                              self.embedding.bias))

    def _checked(self, small: Tensor, guide: Tensor,
                 extent: Extent | None) -> tuple[Tensor, Tensor, Extent]:
        if not isinstance(small, Tensor) or not small.is_floating_point():
            kind = small.dtype if isinstance(small, Tensor) else type(small).__name__
            raise TypeError(f'maps must be a floating-point tensor, got {kind}')
        check_images(small)
        check_images(guide, self.guide_channels)
        if len(small) != len(guide):
            raise ValueError(f'got {len(small)} maps for {len(guide)} input images')
        size = size_of(small)
        if extent is None:
            extent = size
        elif not _fits(extent, size):
            raise ValueError('extent must be the rows and columns of the maps, at most '
                             f'{size}, that the input images show, got {extent!r}')
        if any(n > most for n, most in zip(extent, size_of(guide))):
            raise ValueError(f'input images {size_of(guide)} must not be smaller than the part of '
                             f'the maps that they show, {tuple(extent)}: downsize such maps with '
                             'F.interpolate')
        return small, guide, extent

    def extra_repr(self) -> str:
        return f'density={self.density}'


def _fits(extent: Any, size: Size) -> bool:
    return len(extent) == 2 and all(isinstance(n, (int, float)) and 0 < n <= most
                                    for n, most in zip(extent, size))


def _grid(small: Tensor, guide: Tensor, extent: Extent, like: Tensor) -> Grid:
    """The nine pixels of the maps around each output pixel."""
    return Grid(*(sampling.around(*sizes).to(like)
                  for sizes in zip(size_of(small), size_of(guide), extent)))


def _rows_of(grid: Grid, rows: slice | None) -> Grid:
    return grid if rows is None else Grid(grid.y.select(rows), grid.x)


def build_upsampling(arguments: dict) -> GuidedUpsampling:
    """Builds the upsampling of a guided head, with the arguments of its trained weights, if any."""
    if arguments.get('weights') is None:
        return GuidedUpsampling(**arguments)
    return GuidedUpsampling.from_pretrained(**arguments)


class BilinearUpsampling(nn.Module):
    """Upsamples maps by bilinear interpolation, the baseline of :class:`GuidedUpsampling`."""

    def reset_parameters(self) -> None:
        """Does nothing: there are no parameters."""

    def forward(self, small: Tensor, guide: Tensor, extent: Extent | None = None,
                rows: slice | None = None) -> Tensor:
        """Upsamples maps, with the arguments of :meth:`GuidedUpsampling.forward`."""
        extent = extent or size_of(small)
        if rows is None and tuple(extent) == size_of(small):
            return F.interpolate(small, size_of(guide), mode='bilinear')
        grid = _rows_of(_grid(small, guide, extent, small), rows)
        return _combine(small, grid.prior()[None], grid)


def _interpolate(features: Tensor, axis: Axis, dim: int) -> Tensor:
    """Linear interpolation of rows (``dim=2``) or columns (``dim=3``)."""
    shape = (-1, 1) if dim == 2 else (-1, )
    return weighted_sum((w.view(shape) for w in axis.weights),
                        (features.index_select(dim, index) for index in axis.neighbours))


def _combine(small: Tensor, coefficients: Tensor, grid: Grid) -> Tensor:
    """The convex combinations of the nine pixels of the maps around each output pixel."""
    # Columns first: there are fewer of them, and whole rows are quickly copied.
    columns = [small.index_select(3, index) for index in grid.x.neighbours]
    values = (column.index_select(2, index) for index in grid.y.neighbours for column in columns)
    return weighted_sum(coefficients.to(small.dtype).unsqueeze(2).unbind(1), values)


def _combine_into(out: Tensor, small: Tensor, coefficients: Tensor, grid: Grid) -> None:
    """Writes what :func:`_combine` returns into ``out``, without gradients, and without copying the
    neighbours for each output pixel."""
    y, x = grid
    low, high = int(y.neighbours[0, 0]), int(y.neighbours[2, -1]) + 1
    columns = [small[:, :, low:high].index_select(3, index) for index in x.neighbours]
    coefficients = coefficients.to(small.dtype).unsqueeze(2)
    first = 0
    # Rows between the same rows of the maps at once.
    for count in y.neighbours[1].unique_consecutive(return_counts=True)[1].tolist():
        rows = slice(first, first + count)
        values = [column[:, :, index - low:index - low + 1]
                  for index in y.neighbours[:, first].tolist() for column in columns]
        part = out[:, :, rows]
        each = coefficients[..., rows, :].unbind(1)
        torch.mul(each[0], values[0], out=part)
        for coefficient, value in zip(each[1:], values[1:]):
            part.addcmul_(coefficient, value)
        first += count

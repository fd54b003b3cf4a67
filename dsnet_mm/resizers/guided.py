"""The way back up: small maps to full size, guided by the large image."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dsnet_mm.resizers import pretrained
from dsnet_mm.resizers.ops import bands, sampling
from dsnet_mm.resizers.ops.graphs import is_compiling
from dsnet_mm.resizers.ops.layers import relative_contrast, softmax, weighted_sum, zero_sum
from dsnet_mm.resizers.ops.sampling import Axis, Grid
from dsnet_mm.resizers.ops.size import Size, check_images, check_positive, size_of, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Extent = tuple[float, float]


class GuidedUpsampling(pretrained.Pretrained):
    """Enlarges maps by convex combinations of the 3x3 nearest small pixels, which the large image
    guides.

    Ours, for a segmenter behind a resizer: its logits are small, but the large image, which shows
    where every edge runs, is still there. For each large pixel two 3x3 convolutions read the
    image's texture, its place between the small pixels is added, and a 1x1 convolution and softmax
    give nine weights, which all channels of the map share.

    Untrained it is ``F.interpolate(mode='bilinear')``, but for 0.8 % of the weight, which is spread
    over all nine: those without any would never learn. As in
    :class:`~dsnet_mm.resizers.DownsizeNetV2` the weights depend on local contrast alone, in any
    value range, and no statistics over the image are taken.

    Args:
        guide_channels (int): Channels of the large image.
        channels (int): Width of the network.
        density (int, optional): Read the texture of an antialiased image this many times as large
            as the small map along each axis (if that is smaller than the image), and interpolate it
            to full size: cheaper for large ratios. By default that of the image itself.
        weights (str | Path, optional): A file of ``dsnet-mm publish --upsampling`` to start
            from.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: If an argument is not a positive integer, or the weights do not fit.
    """
    # Pixels around each one that the convolutions see.
    _MARGIN = 2
    # Output pixels computed at once without gradients, so that what is in between stays in the
    # processor's cache.
    _PIXELS = 2**15
    # Added to the bilinear weights.
    _LEAK = 1e-3

    # Layers whose bias is there, which no type checker knows.
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
        """Sets the weights as at the start: those given as ``weights``, otherwise drawn anew."""
        for module in (self.embedding, self.context, self.place):
            module.reset_parameters()
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        if self.weights is not None:
            pretrained.load(self, self.weights)

    def forward(self, small: Tensor, guide: Tensor, extent: Extent | None = None,
                rows: slice | None = None) -> Tensor:
        """Enlarges maps.

        Args:
            small (Tensor): (N, C, h, w) the maps, floating-point.
            guide (Tensor): (N, c, H, W) the large images, any value range, floating-point or
                unsigned 8-bit.
            extent (tuple[float, float], optional): Rows and columns of the maps that the images
                show, from the top left; maps of padded images reach beyond. All by default.
            rows (slice, optional): Those of the large map to compute, from ``start`` to before
                ``stop``; all by default.

        Returns:
            Tensor: (N, C, H, W), or as many rows, each pixel between the least and the greatest of
            its nine small ones; of the maps' dtype.

        Raises:
            TypeError: If something is not floating-point, or the images unsigned 8-bit.
            ValueError: If something is empty or has the wrong shape, the images are smaller than
                what they show of the maps, or the extent is wrong.
        """
        small, guide, extent = self._checked(small, guide, extent)
        y, x = grid = _grid(small, guide, extent, self.logits.weight)
        learns = torch.is_grad_enabled() and any(
            t.requires_grad for t in (small, guide, *self.parameters()))
        # A graph to be compiled or exported is one of whole images: it holds for all sizes.
        if learns or is_compiling() or torch.jit.is_tracing():
            grid = grid if rows is None else Grid(y.select(rows), x)
            weights = self._weights(self._texture(guide, extent)(rows), grid)
            return _combine(small, weights, grid)
        texture = self._texture(guide, extent, self._bands)
        height, width = size_of(guide)
        rows = slice(0, height) if rows is None else rows
        out = small.new_empty((*small.shape[:2], rows.stop - rows.start, width))
        for band in self._bands(guide, rows):
            part = Grid(y.select(band), x)
            _combine_into(out[:, :, band.start - rows.start:band.stop - rows.start], small,
                          self._weights(texture(band), part), part)
        return out

    def coefficients(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """The weights (N, 9, H, W) of the small pixels around each large one, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        small, guide, extent = self._checked(small, guide, extent)
        grid = _grid(small, guide, extent, self.logits.weight)
        return self._weights(self._texture(guide, extent)(None), grid)

    def prior(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """The weights (9, H, W) that an untrained network gives the same pixels."""
        small, guide, extent = self._checked(small, guide, extent)
        bilinear = _bilinear(_grid(small, guide, extent, self.logits.weight))
        return (bilinear + self._LEAK) / (1 + 9 * self._LEAK)

    def _weights(self, texture: Tensor, grid: Grid) -> Tensor:
        """(N, 9, H, W) the weights of the small pixels, from a texture (N, channels, H, W)."""
        y, x = grid
        down, across = self.place.weight.unbind(1)
        place = (down[:, None, None] * y.fraction[:, None] + across[:, None, None] * x.fraction)
        features = (texture + place).relu_()
        # The 1x1 convolution, whose result lies with its channels first wherever they lay.
        bias = self.logits.bias[:, None] + (_bilinear(grid).flatten(1) + self._LEAK).log()
        kernel = self.logits.weight.flatten(1).expand(len(features), -1, -1)
        logits = torch.baddbmm(bias.expand(len(features), -1, -1), kernel, features.flatten(2))
        return softmax(logits).unflatten(2, features.shape[-2:])

    def _bands(self, images: Tensor, rows: slice | None = None) -> list[slice]:
        """Splits the rows of images, or some of these, into parts that are computed one by one."""
        n, _, height, width = images.shape
        return bands.split(rows or slice(0, height), max(1, self._PIXELS // (n * width)))

    def _texture(self, guide: Tensor, extent: Extent,
                 bands: Callable[[Tensor], Sequence[slice | None]] = lambda images: [None]
                 ) -> Callable[[slice | None], Tensor]:
        """A function that returns the texture (N, channels, rows, W) of some rows, or of all."""
        if self.density is None:
            return lambda band: self._convolved(guide, band)
        large = size_of(guide)
        if torch.jit.is_tracing():  # sizes are tensors, which Python does not round
            extent = float(extent[0]), float(extent[1])
        dense = [min(round(self.density * n), most) for n, most in zip(extent, large)]
        guide = F.interpolate(to_float(guide, self.logits.weight.dtype), dense, mode='bilinear',
                              antialias=True)
        y, x = (axis.to(guide) for axis in sampling.project(size_of(guide), large, strided=False))
        # Columns are quickly read where channels lie first.
        texture = torch.cat([_interpolate(self._convolved(guide, band).contiguous(), x, 3)
                             for band in bands(guide)], dim=2)
        return lambda band: _interpolate(texture, y if band is None else y.select(band), 2)

    def _convolved(self, guide: Tensor, band: slice | None) -> Tensor:
        margin = above = below = self._MARGIN
        if band is not None:  # with so many rows around it, as far as there are any
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
            raise TypeError(f'the small maps must be a floating-point tensor, got {kind}')
        check_images(small)
        check_images(guide, self.guide_channels)
        if len(small) != len(guide):
            raise ValueError(f'{len(small)} small maps came with {len(guide)} large images')
        size = size_of(small)
        if extent is None:
            extent = size
        elif not _fits(extent, size):
            raise ValueError(f'extent must be the rows and columns of the small maps {size} that '
                             f'the large images show, got {extent!r}')
        if any(n > most for n, most in zip(extent, size_of(guide))):
            raise ValueError(f'the large images {size_of(guide)} show {tuple(extent)} pixels of '
                             'the small maps, but must not be smaller than these: resize such '
                             'maps with F.interpolate')
        return small, guide, extent

    def extra_repr(self) -> str:
        return f'density={self.density}'


def _fits(extent: Any, size: Size) -> bool:
    return len(extent) == 2 and all(isinstance(n, (int, float)) and 0 < n <= most
                                    for n, most in zip(extent, size))


def _grid(small: Tensor, guide: Tensor, extent: Extent, like: Tensor) -> Grid:
    """The nine small pixels around each large one."""
    return Grid(*(sampling.around(*sizes).to(like)
                  for sizes in zip(size_of(small), size_of(guide), extent)))


def _bilinear(grid: Grid) -> Tensor:
    """(9, H, W) the weights of the small pixels in bilinear interpolation."""
    y, x = grid
    return (y.weights[:, None, :, None] * x.weights[:, None]).flatten(0, 1)


def build_upsampling(arguments: dict) -> GuidedUpsampling:
    """Builds the upsampling of a guided head; weights, if given, bring their arguments."""
    if arguments.get('weights') is None:
        return GuidedUpsampling(**arguments)
    return GuidedUpsampling.from_pretrained(**arguments)


class BilinearUpsampling(nn.Module):
    """Enlarges maps by bilinear interpolation: the baseline of :class:`GuidedUpsampling`, which it
    is called like."""

    def reset_parameters(self) -> None:
        """Does nothing: there are no parameters."""

    def forward(self, small: Tensor, guide: Tensor, extent: Extent | None = None,
                rows: slice | None = None) -> Tensor:
        """Maps (N, C, h, w) to (N, C, H, W), the size of the images; see
        :meth:`GuidedUpsampling.forward`."""
        extent = extent or size_of(small)
        if rows is None and tuple(extent) == size_of(small):
            return F.interpolate(small, size_of(guide), mode='bilinear')
        y, x = _grid(small, guide, extent, small)
        grid = Grid(y if rows is None else y.select(rows), x)
        return _combine(small, _bilinear(grid)[None], grid)


def _interpolate(features: Tensor, axis: Axis, dim: int) -> Tensor:
    """Linear interpolation of rows (``dim=2``) or columns (``dim=3``)."""
    shape = (-1, 1) if dim == 2 else (-1, )
    return weighted_sum((w.view(shape) for w in axis.weights),
                        (features.index_select(dim, index) for index in axis.neighbours))


def _combine(small: Tensor, weights: Tensor, grid: Grid) -> Tensor:
    """The weighted sums of the nine small pixels around each large one."""
    # Columns first: there are fewer of them, and whole rows are quickly copied.
    columns = [small.index_select(3, index) for index in grid.x.neighbours]
    values = (column.index_select(2, index) for index in grid.y.neighbours for column in columns)
    return weighted_sum(weights.to(small.dtype).unsqueeze(2).unbind(1), values)


def _combine_into(out: Tensor, small: Tensor, weights: Tensor, grid: Grid) -> None:
    """Writes what :func:`_combine` returns into ``out``, without gradients, and without copying the
    neighbours for each large pixel."""
    y, x = grid
    low, high = int(y.neighbours[0, 0]), int(y.neighbours[2, -1]) + 1
    columns = [small[:, :, low:high].index_select(3, index) for index in x.neighbours]
    weights = weights.to(small.dtype).unsqueeze(2)
    first = 0
    # Rows between the same small ones at once.
    for count in y.neighbours[1].unique_consecutive(return_counts=True)[1].tolist():
        rows = slice(first, first + count)
        values = [column[:, :, index - low:index - low + 1]
                  for index in y.neighbours[:, first].tolist() for column in columns]
        part = out[:, :, rows]
        for place, (weight, value) in enumerate(zip(weights[..., rows, :].unbind(1), values)):
            if place:
                part.addcmul_(weight, value)
            else:
                torch.mul(weight, value, out=part)
        first += count

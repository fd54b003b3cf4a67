"""The way back up: small maps to full size, guided by the large image."""
from __future__ import annotations

from collections.abc import Iterator
from numbers import Real

from dsnet_mm.compat.versions import is_compiling
from dsnet_mm.resizers import sampling, tiled
from dsnet_mm.resizers.layers import weighted_sum
from dsnet_mm.resizers.sampling import Axis, Grid
from dsnet_mm.resizers.size import check_images, check_positive, size_of, to_float

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Extent = tuple[float, float]


class GuidedUpsampling(nn.Module):
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

    Raises:
        ValueError: If an argument is not a positive integer.
    """
    # Pixels around each one that the convolutions see.
    _MARGIN = 2
    # Output pixels computed at once without gradients, so that what is in between stays in the
    # processor's cache.
    _PIXELS = 2**15
    # Added to the bilinear weights.
    _LEAK = 1e-3
    # Keeps the gradient of black images finite: its power of -1.5 is in range.
    _TINY = 1e-20

    def __init__(self, guide_channels: int = 3, channels: int = 8,
                 density: int | None = None) -> None:
        super().__init__()
        check_positive(guide_channels=guide_channels, channels=channels)
        if density is not None:
            check_positive(density=density)
        self.guide_channels = guide_channels
        self.density = density
        self.embedding = nn.Conv2d(guide_channels, channels, 3)
        self.context = nn.Conv2d(channels, channels, 3)
        self.place = nn.Linear(2, channels, bias=False)
        self.logits = nn.Conv2d(channels, 9, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weights as at the start."""
        for module in (self.embedding, self.context, self.place):
            module.reset_parameters()
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """Enlarges maps.

        Args:
            small (Tensor): (N, C, h, w) the maps, floating-point.
            guide (Tensor): (N, c, H, W) the large images, any value range, floating-point or
                unsigned 8-bit.
            extent (tuple[float, float], optional): Rows and columns of the maps that the images
                show, from the top left; maps of padded images reach beyond. All by default.

        Returns:
            Tensor: (N, C, H, W), each pixel between the least and the greatest of its nine small
            ones; of the maps' dtype.

        Raises:
            TypeError: If something is not floating-point, or the images unsigned 8-bit.
            ValueError: If something is empty or has the wrong shape, the images are smaller than
                what they show of the maps, or the extent is wrong.
        """
        small, guide, extent = self._checked(small, guide, extent)
        learns = torch.is_grad_enabled() and any(
            t.requires_grad for t in (small, guide, *self.parameters()))
        # A graph to be compiled or exported is one of whole images: it holds for all sizes.
        if learns or is_compiling() or torch.jit.is_tracing():
            [(_, weights, grid)] = self._weights(small, guide, extent, None)
            return _combine(small, weights, grid)
        tiled.keep_freed_memory()
        out = small.new_empty((*small.shape[:2], *guide.shape[2:]))
        rows = max(1, self._PIXELS // (len(guide) * guide.shape[3]))
        for band, weights, grid in self._weights(small, guide, extent, rows):
            out[:, :, band] = _combine(small, weights, grid)
        return out

    def coefficients(self, small: Tensor, guide: Tensor, extent: Extent | None = None) -> Tensor:
        """The weights (N, 9, H, W) of the small pixels around each large one, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        [(_, weights, _)] = self._weights(*self._checked(small, guide, extent), None)
        return weights

    def _weights(self, small: Tensor, guide: Tensor, extent: Extent,
                 rows: int | None) -> Iterator[tuple[slice, Tensor, Grid]]:
        """Bands of the output, so many rows high: their rows, the weights of the small pixels, and
        which pixels these are."""
        height, width = size_of(guide)
        dtype = self.logits.weight.dtype
        y, x = (sampling.around(*sizes).to(self.logits.weight)
                for sizes in zip(size_of(small), (height, width), extent))
        texture = None
        if self.density is not None:
            dense = [min(round(self.density * n), size) for n, size in zip(extent, (height, width))]
            guide = F.interpolate(to_float(guide, dtype), dense, mode='bilinear', antialias=True)
            texture = self._texture(guide, slice(0, dense[0]))
            between = sampling.project(dense, (height, width), strided=False)
            across, down = between.x.to(texture), between.y.to(texture)
            texture = _interpolate(texture, across, 3)
        for start in range(0, height, rows or height):
            stop = height if rows is None else min(start + rows, height)
            band = slice(start, stop)
            part = y if rows is None else y.select(torch.arange(start, stop, device=guide.device))
            if texture is None:
                features = self._texture(guide, band)
            else:
                features = _interpolate(texture, Axis(down.neighbours[:, band],
                                                      down.weights[:, band], down.fraction), 2)
            place = self.place.weight[:, :, None, None]
            features = features + (place[:, 0] * part.fraction[:, None]
                                   + place[:, 1] * x.fraction)
            prior = part.weights[:, None, :, None] * x.weights[:, None]
            logits = self.logits(features.relu_())
            logits = logits + (prior.flatten(0, 1) + self._LEAK).log()
            yield band, logits.softmax(dim=1), Grid(part, x)

    def _texture(self, guide: Tensor, band: slice) -> Tensor:
        """(N, channels, rows, W) the texture of a band of rows."""
        margin, height = self._MARGIN, guide.shape[2]
        top, bottom = band.start - margin, band.stop + margin
        pixels = to_float(guide[:, :, max(top, 0):min(bottom, height)], self.logits.weight.dtype)
        pixels = F.pad(pixels, (margin, margin, max(-top, 0), max(bottom - height, 0)),
                       mode='replicate')
        # They sum to zero over each channel, whose brightness does not matter.
        kernel = self.embedding.weight
        kernel = kernel - kernel.mean(dim=(2, 3), keepdim=True)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        contrast = F.conv2d(pixels, kernel)
        # Relative to all features here, and a little to brightness: rounding errors of a flat
        # image stay small.
        power = contrast.square().mean(dim=1, keepdim=True)
        brightness = pixels[:, :, 1:-1, 1:-1].square().mean(dim=1, keepdim=True)
        scale = (power + 1e-6 * brightness + self._TINY).rsqrt()
        return self.context(torch.addcmul(self.embedding.bias[:, None, None], contrast,
                                          scale).relu_())

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
        elif len(extent) != 2 or not all(isinstance(n, Real) and 0 < n <= most
                                         for n, most in zip(extent, size)):
            raise ValueError(f'extent must be the rows and columns of the small maps {size} that '
                             f'the large images show, got {extent!r}')
        if any(n > most for n, most in zip(extent, size_of(guide))):
            raise ValueError(f'the large images {size_of(guide)} show {tuple(extent)} pixels of '
                             'the small maps, but must not be smaller than these: resize such '
                             'maps with F.interpolate')
        return small, guide, extent

    def extra_repr(self) -> str:
        return f'density={self.density}'


def _interpolate(features: Tensor, axis: Axis, dim: int) -> Tensor:
    """Linear interpolation of rows (``dim=2``) or columns (``dim=3``)."""
    shape = (-1, 1) if dim == 2 else (-1, )
    return weighted_sum((w.view(shape) for w in axis.weights),
                        (features.index_select(dim, index) for index in axis.neighbours))


def _combine(small: Tensor, weights: Tensor, grid: Grid) -> Tensor:
    """The weighted sums of the nine small pixels around each large one."""
    rows = [small.index_select(2, index) for index in grid.y.neighbours]
    values = (row.index_select(3, index) for row in rows for index in grid.x.neighbours)
    return weighted_sum(weights.to(small.dtype).unsqueeze(2).unbind(1), values)

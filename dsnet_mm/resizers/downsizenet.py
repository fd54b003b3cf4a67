"""DownsizeNet: interpolation whose coefficients are inferred from texture and distance."""
from dsnet_mm.resizers import sampling
from dsnet_mm.resizers.layers import floating_pooling, interpolate, pooled_convolution
from dsnet_mm.resizers.size import Size, check_images, check_positive, check_size

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DownsizeNet(nn.Module):
    """Resizes images by learned convex combinations of neighbouring pixels.

    Each output pixel is projected into the input and becomes a weighted sum of its neighbours
    there: four in the paper. The weights come from the texture around the projected point (3x3
    convolutions) and from its distances to the four nearest pixels (a 1x1 layer), joined by a 1x1
    convolution (Mai et al., "Task Generalizable Spatial and Texture Aware Image Downsizing
    Network", network architecture). The output is a real image: all channels share the weights,
    which are not negative and sum to 1.

    With the bilinear prior, ours on top of the paper, an untrained network is bilinear
    interpolation (``F.interpolate(mode='bilinear', align_corners=False)``). A larger window, ours
    as well, sees more of the pixels of a strongly shrunk image; untrained it is interpolation
    antialiased as far as the window reaches, with ``'auto'`` that of
    ``F.interpolate(mode='bilinear', antialias=True)``.

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
        window (int | str): Neighbours along each axis, an even number. ``'auto'`` takes twice the
            ratio of each image, rounded up to even, and infers the logits of a 4x4 grid over that
            window, from which each neighbour's is interpolated.

    Raises:
        ValueError: If an argument is out of range.
    """
    ACTIVATIONS = ('softmax', 'sigmoid')

    # Multiplied alone, a weight of zero would stay zero and never learn, and at odd integer ratios
    # three of the four bilinear weights are: a gain also raises or lowers all by this much in sum.
    _RISE = 0.4

    # The side of the logits' grid with window='auto', whose neighbours have no fixed number.
    _GRID = 4

    def __init__(self,
                 num_convs: int = 2,
                 channels: int = 16,
                 activation: str = 'softmax',
                 use_texture: bool = True,
                 use_distance: bool = True,
                 in_channels: int = 3,
                 bilinear_prior: bool = True,
                 window: int | str = 2) -> None:
        super().__init__()
        if num_convs not in (2, 3, 4):
            raise ValueError(f'num_convs must be 2, 3 or 4, got {num_convs!r}')
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation must be one of {self.ACTIVATIONS}, got {activation!r}')
        check_positive(channels=channels, in_channels=in_channels)
        if not (use_texture or use_distance):
            raise ValueError('use_texture and use_distance cannot both be False: '
                             "for fixed weights use FixedResizer(mode='bilinear')")
        if window != 'auto' and (not isinstance(window, int) or window < 2 or window % 2):
            raise ValueError(f"window must be 2, 4, 6, ... or 'auto', got {window!r}")
        self.activation = activation
        self.in_channels = in_channels
        self.bilinear_prior = bilinear_prior
        self.window = window
        self.texture = None
        if use_texture:
            widths = [in_channels] + num_convs * [channels]
            self.texture = nn.Sequential(*(
                layer for pair in zip(widths, widths[1:])
                for layer in (nn.Conv2d(*pair, 3, padding=1), nn.ReLU(inplace=True))))
        self.distance = None
        if use_distance:
            self.distance = nn.Sequential(nn.Conv2d(4, channels, 1), nn.ReLU())
        num_logits = (self._GRID if window == 'auto' else window)**2
        self.logits = nn.Conv2d(channels * (use_texture + use_distance), num_logits, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew; with the prior, the network is bilinear again."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
        if self.bilinear_prior:
            nn.init.zeros_(self.logits.weight)
            nn.init.zeros_(self.logits.bias)

    def forward(self, images: Tensor, size: Size) -> Tensor:
        """Resizes images.

        Args:
            images (Tensor): (N, C, H, W), any value range.
            size (tuple[int, int]): Height and width of the output in pixels, smaller or larger.

        Returns:
            Tensor: (N, C, h, w), each pixel between the least and the greatest of its neighbours.

        Raises:
            TypeError: If the images are not floating-point, or the size not integers.
            ValueError: If the images are empty or have the wrong shape, or the size is wrong.
        """
        grid = self._project(images, size)
        return interpolate(images, self._coefficients(images, grid), grid)

    def coefficients(self, images: Tensor, size: Size) -> Tensor:
        """The weights (N, K, h, w) of the K neighbours of each output pixel, row by row.

        Arguments and errors are those of :meth:`forward`.
        """
        return self._coefficients(images, self._project(images, size))

    def prior(self, images: Tensor, size: Size) -> Tensor:
        """The weights (K, h, w) that the bilinear prior gives the same neighbours."""
        return self._project(images, size).prior()

    def _project(self, images: Tensor, size: Size) -> sampling.Grid:
        check_images(images, self.in_channels)
        return sampling.project(images.shape[-2:], check_size(size), images, self.window)

    def _coefficients(self, images: Tensor, grid: sampling.Grid) -> Tensor:
        features = []
        if self.texture is not None:
            features.append(self._pooled_texture(images, grid))
        if self.distance is not None:
            encoded = self.distance(grid.distances()[None])
            features.append(encoded.expand(len(images), -1, -1, -1))
        logits = self.logits(torch.cat(features, dim=1))
        if self.window == 'auto':
            logits = _spread(logits, grid, self._GRID)
        coefficients = self._activate(logits)
        if not self.bilinear_prior:
            return coefficients
        # Equal coefficients make every gain 1 and leave the prior's weights as they are.
        number = coefficients.shape[1]
        gain = number * coefficients
        weights = gain * grid.prior() + self._RISE / number * (gain - 1)
        # Not clamp: a weight of exactly zero must keep its gradient.
        weights = weights * (weights >= 0)
        return weights / weights.sum(dim=1, keepdim=True)

    def _pooled_texture(self, images: Tensor, grid: sampling.Grid) -> Tensor:
        # Channels last is far faster for so few, on the CPU and with half precision on a GPU.
        features = _standardize(images).contiguous(memory_format=torch.channels_last)
        *layers, last, relu = self.texture
        for layer in layers:
            features = layer(features)
        (height, width), h, w = images.shape[-2:], len(grid.y.lower), len(grid.x.lower)
        if 2 * h * w <= height * width:
            return relu(pooled_convolution(last, features, grid))
        return relu(floating_pooling(last(features), grid))

    def _activate(self, logits: Tensor) -> Tensor:
        if self.activation == 'sigmoid':
            # sigmoid / sum of sigmoids, without dividing 0 by 0 where all four vanish
            logits = F.logsigmoid(logits)
        return logits.softmax(dim=1)


def _standardize(images: Tensor) -> Tensor:
    """Each channel of each image to mean 0 and variance 1: texture, whatever the value range."""
    variance, mean = torch.var_mean(images, dim=(2, 3), correction=0, keepdim=True)
    # A channel without texture becomes zero, not amplified rounding errors.
    least = (1e-3 * mean).square() + torch.finfo(images.dtype).tiny
    return (images - mean) * torch.rsqrt(variance + least)


def _spread(logits: Tensor, grid: sampling.Grid, side: int) -> Tensor:
    """Interpolates logits (N, side * side, h, w) of a grid over the window to (N, K, h, w)."""
    shares = []
    for axis in grid:
        taps = len(axis.offsets)
        # In cells of the grid: 0 is the first one's centre, side - 1 the last one's.
        place = ((axis.offsets / taps + 0.5) * side - 0.5).clamp(0, side - 1)
        cells = torch.arange(side, device=place.device)[:, None, None]
        shares.append((1 - (place - cells).abs()).clamp(min=0))
    logits = logits.unflatten(1, (side, side))
    return torch.einsum('nabhw,aph,bqw->npqhw', logits, *shares).flatten(1, 2)

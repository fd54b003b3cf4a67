"""The paper's two special layers."""
from dsnet_mm.resizers.sampling import Grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def floating_pooling(features: Tensor, grid: Grid) -> Tensor:
    """The feature vector of each projected point: that of its neighbour P1 (top left).

    Args:
        features (Tensor): (N, C, H, W) feature map of the input image.
        grid (Grid): Where the output pixels fall in it.

    Returns:
        Tensor: (N, C, h, w).
    """
    return features.index_select(2, grid.y.lower).index_select(3, grid.x.lower)


def interpolate(images: Tensor, coefficients: Tensor, grid: Grid) -> Tensor:
    """The weighted sum of each projected point's neighbours, all channels alike.

    Args:
        images (Tensor): (N, C, H, W).
        coefficients (Tensor): (N, K, h, w) weights of the K neighbours, or (K, h, w) for all
            images.
        grid (Grid): Where the output pixels fall in the images.

    Returns:
        Tensor: (N, C, h, w), of the images' dtype.
    """
    rows = (images.index_select(2, index) for index in grid.y.neighbours)
    neighbours = (row.index_select(3, index) for row in rows for index in grid.x.neighbours)
    weights = coefficients.to(images.dtype).unsqueeze(-4).unbind(-3)
    return sum(weight * neighbour for weight, neighbour in zip(weights, neighbours))


def pooled_convolution(conv: nn.Conv2d, features: Tensor, grid: Grid) -> Tensor:
    """``floating_pooling(conv(features), grid)``, convolved at the pooled points only.

    Args:
        conv (nn.Conv2d): 3x3, stride 1, padding 1.
        features (Tensor): (N, C, H, W).
        grid (Grid): Where the output pixels fall in the features.
    """
    rows, columns = ((axis.lower[:, None] + torch.arange(3, device=features.device)).flatten()
                     for axis in grid)
    # The 3x3 neighbourhoods of all points, side by side; channels last is far faster to select.
    padded = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    patches = padded.index_select(1, rows).index_select(2, columns).permute(0, 3, 1, 2)
    return F.conv2d(patches, conv.weight, conv.bias, stride=3)

"""The paper's two special layers."""
from dsnet_mm.resizers.sampling import Grid

from torch import Tensor


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
    """The weighted sum of each projected point's four neighbours, all channels alike.

    Args:
        images (Tensor): (N, C, H, W).
        coefficients (Tensor): (N, 4, h, w) weights of P1 to P4, or (4, h, w) for all images.
        grid (Grid): Where the output pixels fall in the images.

    Returns:
        Tensor: (N, C, h, w), of the images' dtype.
    """
    rows = [images.index_select(2, index) for index in (grid.y.lower, grid.y.upper)]
    neighbours = (row.index_select(3, index)
                  for row in rows for index in (grid.x.lower, grid.x.upper))
    weights = coefficients.to(images.dtype).unsqueeze(-4).unbind(-3)
    return sum(weight * neighbour for weight, neighbour in zip(weights, neighbours))

"""RoI pooling by operators that ONNX has."""
from collections.abc import Sequence

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.zoo.light_head import LightHeadRoIExtractor

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads import SingleRoIExtractor
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from torch import Tensor


def pool(extractor: BaseRoIExtractor, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Pools the features of boxes, with the result of an RoI extractor.

    Args:
        extractor (BaseRoIExtractor): mmdet's, or Light-Head R-CNN's.
        features (Sequence[Tensor]): Maps (N, C, H_i, W_i) of all levels.
        boxes (Tensor): (N, K, 4), x1, y1, x2, y2 in pixels of the resized image.

    Returns:
        Tensor: (N * K, channels, height, width).

    Raises:
        CannotExport: If the extractor is of another type.
    """
    features = features[:extractor.num_inputs]
    if type(extractor).forward is LightHeadRoIExtractor.forward:
        return pool_position_sensitive(extractor, features[0], boxes)
    if type(extractor).forward is SingleRoIExtractor.forward and all(
            isinstance(layer, RoIAlign) and layer.pool_mode == 'avg'
            for layer in extractor.roi_layers):
        return pool_levels(extractor, features, boxes)
    raise CannotExport(f'{type(extractor).__name__} with {extractor.roi_layers[0]}')


def pool_position_sensitive(extractor: LightHeadRoIExtractor, features: Tensor,
                            boxes: Tensor) -> Tensor:
    """torchvision's ``PSRoIAlign``, which ONNX lacks: each cell samples its own maps.

    Arguments, result and errors are those of :func:`pool`.
    """
    layer = extractor.roi_layers[0]
    size, ratio = layer.output_size, layer.sampling_ratio
    if ratio < 1:
        raise CannotExport(f'sampling_ratio={ratio} of {type(extractor).__name__}',
                           'set it to 1 or more')
    maps = extractor.separable(features).relu()
    images, _, height, width = maps.shape
    maps = maps.reshape(images, -1, size * size, height, width).transpose(1, 2).flatten(0, 1)

    # Coordinates of the samples in cells of the map, (N, K, size * ratio) on each axis.
    shares = (torch.arange(size * ratio, device=boxes.device) + 0.5) / (size * ratio)
    x1, y1, x2, y2 = (boxes * layer.spatial_scale - 0.5)[..., None].unbind(dim=2)
    x, y = (start + (end - start) * shares for start, end in ((x1, x2), (y1, y2)))
    inside_x, inside_y = (x >= -1) & (x <= width), (y >= -1) & (y <= height)

    def arrange(on_x: Tensor, on_y: Tensor) -> list[Tensor]:
        """Combines values of both axes to (N * size^2, K, ratio^2): by cell, box and sample."""
        on_y = on_y.unflatten(2, (size, 1, ratio, 1)).expand(-1, -1, -1, size, -1, ratio)
        on_x = on_x.unflatten(2, (1, size, 1, ratio)).expand(-1, -1, size, -1, ratio, -1)
        return [each.permute(0, 2, 3, 1, 4, 5).flatten(4, 5).flatten(0, 2)
                for each in (on_x, on_y)]

    grid = torch.stack(arrange((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    samples = F.grid_sample(maps, grid, padding_mode='border', align_corners=False)
    samples = samples * torch.logical_and(*arrange(inside_x, inside_y))[:, None]
    cells = samples.mean(dim=-1).unflatten(0, (images, size, size))
    return cells.permute(0, 4, 3, 1, 2).flatten(0, 1)


def pool_levels(extractor: SingleRoIExtractor, features: Sequence[Tensor],
                boxes: Tensor) -> Tensor:
    """RoI align of each box, on the map of the level that fits its size.

    Arguments and result are those of :func:`pool`.
    """
    images, count, _ = boxes.shape
    image = torch.arange(images, device=boxes.device, dtype=boxes.dtype)
    rois = torch.cat([image[:, None, None].expand(-1, count, -1), boxes], dim=2).flatten(0, 1)
    level_of_box = extractor.map_roi_levels(rois, len(features))
    pooled: Tensor | int = 0
    for level, (layer, values) in enumerate(zip(extractor.roi_layers, features)):
        here = (level_of_box == level)[:, None]
        # Boxes of other levels become empty, and cost nothing.
        each = torch.ops.torchvision.roi_align(
            values, rois * here, layer.spatial_scale, *layer.output_size, layer.sampling_ratio,
            layer.aligned)
        pooled = pooled + each.where(here[..., None, None], 0)
    assert isinstance(pooled, Tensor)
    return pooled

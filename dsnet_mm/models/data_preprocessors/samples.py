"""Rescales data samples to the size of their resized images.

A sample gets new values; those it had, which other samples may share, are never written to. Sizes
are (height, width) in pixels.
"""
from collections.abc import Callable
from typing import Any

from dsnet_mm.resizers.ops.sampling import nearest
from dsnet_mm.resizers.ops.size import Size

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor


def rescale_input_frame(sample: BaseDataElement, size_in: Size, size_out: Size) -> None:
    """Rescales what is in coordinates of the network's input, in training and at test: metainfo and
    the proposals of an external detector."""
    sy, sx = (n_out / n_in for n_in, n_out in zip(size_in, size_out))
    meta = sample.metainfo
    # Plain tuples: mmseg takes a torch.Size for a window of slide inference.
    height, width = _pair(meta, 'img_shape', size_in)
    w_factor, h_factor = _pair(meta, 'scale_factor', (1., 1.))
    update: dict[str, Any] = dict(
        img_shape=(max(1, round(height * sy)), max(1, round(width * sx))),
        scale_factor=(float(w_factor * sx), float(h_factor * sy)))
    if 'pad_shape' in meta:
        update['pad_shape'] = size_out
    for key in ('border', 'pad_param'):  # of CenterNet, of mmyolo: top, bottom, left, right
        if meta.get(key) is not None:
            update[key] = np.asarray(meta[key]) * np.array([sy, sy, sx, sx], np.float32)
    if meta.get('homography_matrix') is not None:  # of semi-supervised detectors
        matrix = np.asarray(meta['homography_matrix'])
        update['homography_matrix'] = np.diag([sx, sy, 1]).astype(matrix.dtype) @ matrix
    sample.set_metainfo(update)
    if 'proposals' in sample:
        _rescale_instances(sample.proposals, (sx, sy), size_out)


def check_scale_factor(sample: BaseDataElement) -> None:
    """Checks that a detector's boxes can return to the original image.

    Raises:
        ValueError: If the image was resized before the preprocessor and the sample does not say by
            which factor: the shapes do not tell resizing from padding.
    """
    meta = sample.metainfo
    before, after = meta.get('ori_shape'), meta.get('img_shape')
    if 'scale_factor' in meta or 'border' in meta or before is None or after is None:
        return  # CenterNet, which centres the image within a border, has no factor
    is_detection = any(kind.__name__ == 'DetDataSample' for kind in type(sample).__mro__)
    if is_detection and tuple(before[:2]) != tuple(after[:2]):
        raise ValueError(
            f'a data sample has ori_shape {tuple(before[:2])} and img_shape {tuple(after[:2])}, '
            "but no scale_factor, without which boxes cannot return to the original image: add "
            "'scale_factor' to meta_keys of PackDetInputs in the test pipeline")


def rescale_ground_truth(sample: BaseDataElement, size_in: Size, size_out: Size) -> None:
    """Rescales boxes, keypoints, masks and maps of the ground truth."""
    scale = size_out[1] / size_in[1], size_out[0] / size_in[0]
    for name in ('gt_instances', 'ignored_instances'):
        if name in sample:
            _rescale_instances(sample.get(name), scale, size_out)
    for name, resize in MAPS.items():
        if name in sample:
            setattr(sample, name, _resize_maps(sample.get(name), resize, size_in, size_out))


def padded_size(maps: Size, size: Size, padded: Size) -> Size:
    """The size of maps once padded in proportion to an image, from ``size`` to ``padded``."""
    rows, columns = (round(n * after / before) for n, before, after in zip(maps, size, padded))
    return rows, columns


def _pair(meta: dict[str, Any], key: str, default: tuple) -> tuple[float, float]:
    value = meta.get(key, default)
    if not hasattr(value, '__getitem__') or len(value) < 2:
        raise ValueError(f'{key} in the metainfo of a data sample must be two numbers, got '
                         f'{value!r}: leave it to the pipeline')
    return value[0], value[1]


def _rescale_instances(instances: InstanceData, scale: tuple[float, float], size_out: Size) -> None:
    """Rescales boxes and keypoints by factors for x and y, and resizes masks."""
    for name, value in instances.items():
        if name not in ('bboxes', 'keypoints') and _looks_like_points(value):
            raise ValueError(
                f'{name!r} of a data sample, of shape {tuple(value.shape)}, looks like points, '
                'which would not be rescaled: leave it out in the pipeline, or rescale it in a '
                "subclass's _rescale_ground_truth, under another name until then")
    if 'keypoints' in instances:  # x, y and perhaps the visibility
        points = _float(instances.keypoints)
        factors = points.new_ones(points.shape[-1])
        factors[:2] = points.new_tensor(scale)
        instances.keypoints = points * factors
    if 'bboxes' in instances:
        boxes = instances.bboxes
        if isinstance(boxes, Tensor):
            if boxes.shape[-1] % 2:
                raise ValueError(f'boxes must be pairs of x and y, got shape {tuple(boxes.shape)}: '
                                 "give boxes of another kind as one of mmdet's box types")
            boxes = _float(boxes)
            instances.bboxes = boxes * boxes.new_tensor(scale).repeat(boxes.shape[-1] // 2)
        else:  # one of mmdet's box types
            instances.bboxes = boxes.clone()
            instances.bboxes.rescale_(scale)
    if 'masks' in instances:
        if isinstance(instances.masks, Tensor) or not hasattr(instances.masks, 'resize'):
            raise TypeError('masks must be BitmapMasks or PolygonMasks, '
                            f'got {type(instances.masks).__name__}')
        instances.masks = _resize_masks(instances.masks, size_out)


def _looks_like_points(value: Any) -> bool:
    """Whether numbers come in pairs, or in triples of an instance: (n, ..., 2), (n, k, 3)."""
    if not isinstance(value, (Tensor, np.ndarray)) or value.ndim < 2:
        return False
    is_float = value.is_floating_point() if isinstance(value, Tensor) else value.dtype.kind == 'f'
    return is_float and (value.shape[-1] == 2 or value.ndim > 2 and value.shape[-1] == 3)


def _float(values: Any) -> Tensor:
    values = torch.as_tensor(values)
    return values if values.is_floating_point() else values.float()


def _resize_masks(masks: Any, size: Size) -> Any:
    if not isinstance(masks.masks, np.ndarray):  # polygons
        return masks.resize(size)
    # mmdet's own takes the corner's pixel, half an output pixel off.
    rows, columns = (nearest(*sides).numpy() for sides in zip(masks.masks.shape[1:], size))
    return type(masks)(masks.masks[:, rows[:, None], columns], *size)


def _resize_maps(maps: PixelData, resize: Callable, size_in: Size, size_out: Size) -> PixelData:
    """Resizes each map (..., H, W) by the image's factor, relative to its own size."""
    resized = {}
    for name, value in maps.items():
        if 0 in value.shape:
            raise ValueError(f'{name} of the ground truth has no pixels, its shape is '
                             f'{tuple(value.shape)}: leave the image out of the data set')
        size = tuple(max(1, round(n * n_out / n_in)) for n, n_in, n_out in zip(
            value.shape[-2:], size_in, size_out))
        resized[name] = resize(value, size)
    return maps.new(**resized)  # a PixelData refuses maps of another size


def _nearest(labels: Tensor, size: Size) -> Tensor:
    rows, columns = (nearest(*sides, labels.device) for sides in zip(labels.shape[-2:], size))
    return labels[..., rows[:, None], columns]


def _max(edges: Tensor, size: Size) -> Tensor:
    return F.adaptive_max_pool2d(edges.float(), size).to(edges.dtype)  # keeps thin edges


MAPS = {'gt_sem_seg': _nearest, 'gt_depth_map': _nearest, 'gt_edge_map': _max}

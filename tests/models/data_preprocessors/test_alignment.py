"""One scene, drawn as every kind of ground truth: resized, each still agrees with every other."""
from dsnet_mm import DownsizeDetDataPreprocessor
from dsnet_mm.transforms import Downsize

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from torchvision import tv_tensors

SIZE = 192, 256


def scene(cells: int = 8) -> np.ndarray:
    """(N, 4) rectangles x1, y1, x2, y2 in whole pixels, none upon another: one a cell."""
    random = np.random.default_rng(0)
    height, width = SIZE[0] // cells, SIZE[1] // cells
    boxes = []
    for row in range(cells):
        for column in range(cells):
            x1, x2 = sorted(random.choice(width + 1, 2, replace=False) + column * width)
            y1, y2 = sorted(random.choice(height + 1, 2, replace=False) + row * height)
            boxes.append((x1, y1, x2, y2))
    return np.array(boxes, float)


def drawn(boxes: np.ndarray, size: tuple[int, int], scale: tuple[float, float]) -> np.ndarray:
    """(N, h, w) which pixels' centres lie in the rectangles, once these are scaled."""
    y, x = np.mgrid[:size[0], :size[1]] + 0.5
    x1, y1, x2, y2 = (boxes * np.tile(scale, 2)).T[:, :, None, None]
    return (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)


def sample(boxes: np.ndarray) -> DetDataSample:
    masks = drawn(boxes, SIZE, (1, 1)).astype(np.uint8)
    polygons = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in boxes]
    result = DetDataSample(metainfo=dict(img_shape=SIZE))
    tensor = torch.tensor(boxes, dtype=torch.float32)
    result.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(tensor), masks=BitmapMasks(masks, *SIZE))
    result.ignored_instances = InstanceData(bboxes=tensor, masks=PolygonMasks(polygons, *SIZE))
    labels = (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(0)
    result.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(labels)[None])
    return result


def resized(boxes: np.ndarray, size: tuple[int, int]) -> DetDataSample:
    data = dict(inputs=[torch.zeros(3, *SIZE)], data_samples=[sample(boxes)])
    return DownsizeDetDataPreprocessor(target_size=size)(data, True)['data_samples'][0]


@pytest.mark.parametrize('shrink', [2, 3, 4, 5, 6, 7, 8, 1.5, 2.7, 3.3, 0.6])
def test_all_kinds_of_ground_truth_agree(shrink):
    size = round(SIZE[0] / shrink), round(SIZE[1] / shrink)
    boxes, scale = scene(), (size[1] / SIZE[1], size[0] / SIZE[0])
    result = resized(boxes, size)
    objects, others = result.gt_instances, result.ignored_instances
    expected = drawn(boxes, size, scale)

    scaled = boxes * np.tile(scale, 2)
    for found in (objects.bboxes, others.bboxes):
        np.testing.assert_allclose(found.numpy(), scaled, rtol=1e-5)
    corners = np.stack([polygon[0] for polygon in others.masks.masks]).reshape(-1, 4, 2)
    np.testing.assert_allclose(np.concatenate([corners.min(1), corners.max(1)], 1), scaled,
                               rtol=1e-5)
    np.testing.assert_array_equal(objects.masks.masks, expected)
    labels = result.gt_sem_seg.sem_seg[0].numpy()
    for number, mask in enumerate(objects.masks.masks, 1):
        np.testing.assert_array_equal(labels == number, mask)

    small = Downsize(size)(tv_tensors.Mask(torch.from_numpy(drawn(boxes, SIZE, (1, 1)))))
    assert type(small) is tv_tensors.Mask and small.dtype == torch.bool
    np.testing.assert_array_equal(small.numpy(), expected)


@pytest.mark.parametrize('shrink', [3, 4, 7, 8])
def test_masks_are_not_shifted(shrink):
    """On average over many objects, the middle of a mask is that of its box, to a quarter pixel."""
    boxes = scene()
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) >= shrink).all(1)]
    result = resized(boxes, (SIZE[0] // shrink, SIZE[1] // shrink))
    shifts = []
    for mask, box in zip(result.gt_instances.masks.masks,
                         result.gt_instances.bboxes.numpy()):
        y, x = np.nonzero(mask)
        shifts.append([x.min() + x.max() + 1 - box[0] - box[2],
                       y.min() + y.max() + 1 - box[1] - box[3]])
    assert (np.abs(np.mean(shifts, 0)) / 2 < 0.25).all()


def test_one_rectangle_of_every_kind():
    box = np.array([[21., 0, 43, 64]])
    result = resized(box, (SIZE[0] // 4, SIZE[1] // 4))
    columns = np.nonzero(result.gt_instances.masks.masks[0].any(0))[0]
    assert (columns[0], columns[-1] + 1) == (5, 11)
    np.testing.assert_allclose(result.gt_instances.bboxes[0, [0, 2]].numpy(), [5.25, 10.75])


def test_no_masks_stay_no_masks():
    result = resized(np.zeros((0, 4)), (48, 64))
    masks = result.gt_instances.masks
    assert len(masks) == 0 and (masks.height, masks.width) == (48, 64)

"""Batches as a dataloader hands them over."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample


def image(height: int, width: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width)).to(dtype)


def det_sample(height: int, width: int, **metainfo) -> DetDataSample:
    """Two objects, one ignored, one proposal and a label map of half the image's size."""
    sample = DetDataSample(metainfo=dict(
        img_shape=(height, width), ori_shape=(2 * height, 2 * width), scale_factor=(0.5, 0.5),
        flip=True, flip_direction='horizontal', **metainfo))
    boxes = torch.tensor([[2., 4., 12., 20.], [0., 0., width, height]])
    corners = np.array([0, 0, 10, 0, 10, 10.])
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes), labels=torch.tensor([0, 1]),
        masks=PolygonMasks([[corners], [corners + 5]], height, width))
    masks = np.zeros((1, height, width), np.uint8)
    masks[:, :height // 2] = 1
    sample.ignored_instances = InstanceData(
        bboxes=boxes[:1].clone(), masks=BitmapMasks(masks, height, width))
    sample.proposals = InstanceData(bboxes=boxes[:1].clone(), scores=torch.ones(1))
    labels = torch.arange(height // 2 * (width // 2)).view(1, height // 2, width // 2) % 7
    sample.gt_sem_seg = PixelData(sem_seg=labels)
    return sample


def seg_sample(height: int, width: int, **metainfo) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(
        img_shape=(height, width), ori_shape=(height, width), reduce_zero_label=False,
        **metainfo))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 5, (1, height, width)))
    return sample

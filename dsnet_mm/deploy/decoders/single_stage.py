"""Decoding of the single-stage detectors with a decoding of their own: CenterNet, DETR, RefineDet
and YOLOX.

Each function takes the head, the outputs of its forward, the frame and the largest number of boxes,
and returns the boxes that the head's ``predict_by_feat`` finds, in pixels of the input image. It
raises CannotExport if suppression is of another type than ``nms``.
"""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.dense import finish, flatten, select, take
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates, best, suppress, top
from dsnet_mm.zoo.refinedet import RefineDetHead

import torch
from mmdet.models.dense_heads import CenterNetHead, DETRHead, YOLOXHead
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor


def decode_centernet(head: CenterNetHead, outputs: Sequence[Sequence[Tensor]], frame: Frame,
                     number: int) -> Candidates:
    """Takes the heatmap (N, classes, H, W), sizes and offsets (N, 2, H, W) of one level. Places
    with a score of 0, which are no peaks of the heatmap, are left out."""
    [heatmap], [sizes], [offsets] = outputs
    boxes, labels = head._decode_heatmap(
        heatmap, sizes, offsets, frame.padded_size, k=head.test_cfg['topk'],
        kernel=head.test_cfg['local_maximum_kernel'])
    return best(Candidates(frame.to_image(boxes[..., :4]), boxes[..., 4], labels.long()), number)


def decode_detr(head: DETRHead, outputs: Sequence[Tensor], frame: Frame,
                number: int) -> Candidates:
    """Takes logits (layers, N, queries, classes) and boxes (layers, N, queries, 4), relative to the
    resized image. The frame has no padding."""
    logits, boxes = outputs[0][-1], outputs[1][-1]
    height, width = frame.image_size
    boxes = bbox_cxcywh_to_xyxy(boxes).clamp(0, 1)
    boxes = boxes * boxes.new_tensor([1, 0, 1, 0]) * width + \
        boxes * boxes.new_tensor([0, 1, 0, 1]) * height
    if not head.loss_cls.use_sigmoid:
        scores, labels = logits.softmax(dim=-1)[..., :-1].max(dim=-1)
        return best(Candidates(boxes, scores, labels), number)
    scores, indices = top(logits.sigmoid().flatten(1), number)
    boxes = take(boxes, indices // head.num_classes)
    return best(Candidates(boxes, scores, indices % head.num_classes), number)


def decode_refinedet(head: RefineDetHead, outputs: Sequence[list[Tensor]], frame: Frame,
                     number: int) -> Candidates:
    """Takes logits and deltas of the object detection module and of the anchor refinement module,
    by level."""
    cls_scores, bbox_preds, arm_cls_scores, arm_bbox_preds = outputs
    anchors, objectness = head.refine(arm_cls_scores, arm_bbox_preds)
    logits, deltas = (torch.cat([flatten(level, width) for level in levels], dim=1)
                      for levels, width in ((cls_scores, head.cls_out_channels), (bbox_preds, 4)))
    candidates = select(head, frame, anchors, logits, deltas,
                        valid=objectness >= head.objectness_thr)
    return finish(head, frame, [candidates], number)


def decode_yolox(head: YOLOXHead, outputs: Sequence[Sequence[Tensor]], frame: Frame,
                 number: int) -> Candidates:
    """Takes class logits (N, classes, H_i, W_i), boxes (N, 4, H_i, W_i) and objectness logits
    (N, 1, H_i, W_i) of each level."""
    sizes = [level.shape[-2:] for level in outputs[0]]
    priors = torch.cat(head.prior_generator.grid_priors(
        sizes, device=outputs[0][0].device, with_stride=True))
    logits, deltas, objectness = (
        torch.cat([flatten(level, width) for level in levels], dim=1)
        for levels, width in zip(outputs, (head.cls_out_channels, 4, 1)))
    boxes = frame.to_image(head._bbox_decode(priors, deltas))
    scores, labels = logits.sigmoid().max(dim=2)
    scores = scores * objectness.squeeze(2).sigmoid()
    scores = scores.where(scores >= head.test_cfg['score_thr'], 0)
    return suppress(Candidates(boxes, scores, labels), head.test_cfg['nms'], number)

"""Decoding of two-stage detectors: proposals of the RPN, RoI pooling, boxes of the second stage."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders import dense
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.pooling import pool
from dsnet_mm.deploy.decoders.suppression import Candidates, suppress
from dsnet_mm.deploy.errors import CannotExport

import torch
from mmdet.models import StandardRoIHead, TwoStageDetector
from torch import Tensor


def propose(model: TwoStageDetector, frame: Frame) -> tuple[Sequence[Tensor], Candidates]:
    """The feature maps, and the proposals that ``RPNHead.predict`` finds.

    Returns:
        tuple[Sequence[Tensor], Candidates]: The maps, and ``test_cfg.rpn.max_per_img`` boxes in
        pixels of the resized image, padded as by ``Candidates.pick``.
    """
    head = model.rpn_head
    features = model.extract_feat(frame.batch)
    levels = [Candidates(boxes, scores, torch.full_like(labels, level))  # suppressed by level
              for level, (boxes, scores, labels) in enumerate(
                  dense.select_by_level(head, head(features), frame))]
    return features, dense.finish(head, frame._replace(image_size=frame.resized_size), levels,
                                  head.test_cfg['max_per_img'])


def decode(head: StandardRoIHead, outputs: tuple[Sequence[Tensor], Candidates], frame: Frame,
           number: int) -> Candidates:
    """The boxes that ``StandardRoIHead.predict`` finds, in pixels of the input image.

    Args:
        head (StandardRoIHead): The head.
        outputs (tuple): Of :func:`propose`.
        frame (Frame): The input of the model.
        number (int): The largest number of boxes.

    Raises:
        CannotExport: If the head has masks or a loss with its own activation, or pooling or
            suppression are of another type.
    """
    if head.with_mask:
        raise CannotExport(f'the masks of {type(head.mask_head).__name__}')
    box_head = head.bbox_head
    if box_head.custom_cls_channels:
        raise CannotExport(f'loss_cls of type {type(box_head.loss_cls).__name__}')
    features, proposals = outputs
    images, count = proposals.scores.shape
    pooled = pool(head.bbox_roi_extractor, features, proposals.boxes)
    if head.with_shared_head:
        pooled = head.shared_head(pooled)
    logits, deltas = box_head(pooled)
    classes = box_head.num_classes
    scores = logits.softmax(dim=-1)[..., :-1].reshape(images, count, classes)
    valid = (proposals.labels >= 0)[..., None] & (scores > head.test_cfg['score_thr'])
    boxes = box_head.bbox_coder.decode(proposals.boxes.flatten(0, 1), deltas,
                                       max_shape=frame.resized_size)
    boxes = boxes.reshape(images, count, -1, 4).expand(-1, -1, classes, -1)
    labels = torch.arange(classes, device=boxes.device).expand(images, count, -1)
    candidates = Candidates(frame.to_image(boxes.flatten(1, 2)), scores.where(valid, 0).flatten(1),
                            labels.flatten(1))
    return suppress(candidates, head.test_cfg['nms'], number)

"""Decoding of YOLOX."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.dense import flatten
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates, suppress

import torch
from mmdet.models.dense_heads import YOLOXHead
from torch import Tensor


def decode(head: YOLOXHead, outputs: Sequence[Sequence[Tensor]], frame: Frame,
           number: int) -> Candidates:
    """Boxes of the full-size image, as ``YOLOXHead.predict_by_feat`` finds them.

    Args:
        head (YOLOXHead): The head.
        outputs (Sequence): Of its forward: for each level scores (N, classes, H_i, W_i), boxes
            (N, 4, H_i, W_i) and objectness (N, 1, H_i, W_i).
        frame (Frame): What the model saw.
        number (int): How many to keep at most.

    Raises:
        CannotExport: If its suppression is not the plain one.
    """
    sizes = [level.shape[-2:] for level in outputs[0]]
    priors = torch.cat(head.prior_generator.grid_priors(
        sizes, device=outputs[0][0].device, with_stride=True))
    scores, deltas, objectness = (
        torch.cat([flatten(level, width) for level in levels], dim=1)
        for levels, width in zip(outputs, (head.cls_out_channels, 4, 1)))
    boxes = frame.to_full(head._bbox_decode(priors, deltas))
    scores, labels = scores.sigmoid().max(dim=2)
    scores = scores * objectness.squeeze(2).sigmoid()
    scores = scores.where(scores >= head.test_cfg['score_thr'], 0)
    return suppress(Candidates(boxes, scores, labels), head.test_cfg['nms'], number)

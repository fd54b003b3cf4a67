"""Decoding of RefineDet."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.dense import finish, flatten, select
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates
from dsnet_mm.zoo.refinedet import RefineDetHead

import torch
from torch import Tensor


def decode(head: RefineDetHead, outputs: Sequence[list[Tensor]], frame: Frame,
           number: int) -> Candidates:
    """Boxes of the full-size image, as ``RefineDetHead.predict_by_feat`` finds them.

    Args:
        head (RefineDetHead): The head.
        outputs (Sequence): Of its forward.
        frame (Frame): What the model saw.
        number (int): How many to keep at most.

    Raises:
        CannotExport: If its suppression is not the plain one.
    """
    cls_scores, bbox_preds, arm_cls_scores, arm_bbox_preds = outputs
    moved, objectness = head.refine(arm_cls_scores, arm_bbox_preds)
    logits, deltas = (torch.cat([flatten(level, width) for level in levels], dim=1)
                      for levels, width in ((cls_scores, head.cls_out_channels), (bbox_preds, 4)))
    best = select(head, frame, moved, logits, deltas, alive=objectness >= head.objectness_thr)
    return finish(head, frame, [best], number)

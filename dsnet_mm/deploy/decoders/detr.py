"""Decoding of DETR."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.dense import take
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates, best, top

from mmdet.models.dense_heads import DETRHead
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor


def decode(head: DETRHead, outputs: Sequence[Tensor], frame: Frame, number: int) -> Candidates:
    """Boxes of the full-size image, as ``DETRHead.predict_by_feat`` finds them.

    Args:
        head (DETRHead): The head.
        outputs (Sequence): Of its forward: scores (layers, N, queries, classes) and boxes
            (layers, N, queries, 4) in shares of the resized image.
        frame (Frame): What the model saw, without padding.
        number (int): How many to keep at most.
    """
    logits, shares = outputs[0][-1], outputs[1][-1]
    height, width = frame.full
    shares = bbox_cxcywh_to_xyxy(shares).clamp(0, 1)
    boxes = shares * shares.new_tensor([1, 0, 1, 0]) * width + \
        shares * shares.new_tensor([0, 1, 0, 1]) * height
    if not head.loss_cls.use_sigmoid:
        scores, labels = logits.softmax(dim=-1)[..., :-1].max(dim=-1)
        return best(Candidates(boxes, scores, labels), number)
    scores, places = top(logits.sigmoid().flatten(1), number)
    boxes = take(boxes, places // head.num_classes)
    return best(Candidates(boxes, scores, places % head.num_classes), number)

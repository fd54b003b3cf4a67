"""Decoding of dense heads that predict as mmdet's ``BaseDenseHead`` does: RetinaNet, ATSS, FCOS and
many others."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.frame import Frame
from dsnet_mm.deploy.suppression import Candidates, suppress, top

import torch
from torch import Tensor, nn


def decode(head: nn.Module, outputs: Sequence[Sequence[Tensor]], frame: Frame,
           number: int) -> Candidates:
    """Boxes of the full-size image, as ``BaseDenseHead.predict_by_feat`` finds them.

    Args:
        head (BaseDenseHead): The head.
        outputs (Sequence): Of its forward: for each level scores (N, A * classes, H_i, W_i), box
            deltas (N, A * 4, H_i, W_i) and maybe factors of the scores (N, A, H_i, W_i).
        frame (Frame): What the model saw.
        number (int): How many to keep at most.

    Raises:
        CannotExport: If the head has activations of its own, or another suppression.
    """
    if getattr(head.loss_cls, 'custom_cls_channels', False):
        raise CannotExport(f'loss_cls of type {type(head.loss_cls).__name__}')
    sizes = [level.shape[-2:] for level in outputs[0]]
    priors = head.prior_generator.grid_priors(sizes, device=outputs[0][0].device)
    levels = [select(head, head.test_cfg, frame, flat, *each)
              for flat, *each in zip(priors, *outputs)]
    return finish(head.test_cfg, frame, levels, number)


def select(head: nn.Module, cfg: dict[str, Any], frame: Frame, priors: Tensor, cls_score: Tensor,
           bbox_pred: Tensor, factor: Tensor | None = None) -> Candidates:
    """The best of one level, in pixels of the resized image.

    Args:
        priors (Tensor): (A * H_i * W_i, width) of the level, or (N, A * H_i * W_i, width).
        cls_score, bbox_pred, factor: One level of the ``outputs`` of :func:`decode`.
    """
    scores = activate(head, flatten(cls_score, head.cls_out_channels))
    deltas = flatten(bbox_pred, head.bbox_coder.encode_size)
    number, _, classes = scores.shape
    scores = scores.where(scores > cfg.get('score_thr', 0), 0).flatten(1)
    places = None
    limit = cfg.get('nms_pre', -1)
    if limit > 0 and not (isinstance(scores.shape[1], int) and scores.shape[1] <= limit):
        scores, places = top(scores, limit)
    else:
        places = torch.arange(scores.shape[1], device=scores.device).expand(number, -1)
    prior, labels = places // classes, places % classes
    if factor is not None:
        scores = scores * flatten(factor, 1).squeeze(2).sigmoid().gather(1, prior)
    deltas = take(deltas, prior)
    priors = take(priors.expand(number, -1, -1), prior)
    boxes = head.bbox_coder.decode(priors.flatten(0, 1), deltas.flatten(0, 1),
                                   max_shape=frame.small)
    return Candidates(boxes.reshape(number, -1, 4), scores, labels)


def finish(cfg: dict[str, Any], frame: Frame, levels: Sequence[Candidates],
           number: int) -> Candidates:
    """What is left of all levels, in pixels of the full-size image."""
    boxes, scores, labels = (torch.cat(each, dim=1) for each in zip(*levels))
    boxes = frame.to_full(boxes)
    least = cfg.get('min_bbox_size', -1)
    if least >= 0:
        large = (boxes[..., 2:] - boxes[..., :2] > least).all(dim=-1)
        scores = scores.where(large, 0)
    return suppress(Candidates(boxes, scores, labels), cfg['nms'], number)


def activate(head: nn.Module, logits: Tensor) -> Tensor:
    """Scores (N, M, classes) of logits, without those of the background."""
    return logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]


def flatten(level: Tensor, width: int) -> Tensor:
    """Maps (N, A * width, H, W) as (N, H * W * A, width)."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width)


def take(values: Tensor, places: Tensor) -> Tensor:
    """Rows (N, K, width) of values (N, M, width) at places (N, K)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))

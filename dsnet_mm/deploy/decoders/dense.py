"""Decoding of dense heads that predict as mmdet's ``BaseDenseHead`` does: RetinaNet, ATSS, FCOS and
many others."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates, suppress, top
from dsnet_mm.deploy.errors import CannotExport

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor


def decode(head: BaseDenseHead, outputs: Sequence[Sequence[Tensor]], frame: Frame,
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
    return finish(head, frame, levels(head, outputs, frame), number)


def levels(head: BaseDenseHead, outputs: Sequence[Sequence[Tensor]],
           frame: Frame) -> list[Candidates]:
    """The best of each level, in pixels of the resized image; arguments and errors are those of
    :func:`decode`."""
    if getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False):
        raise CannotExport(f'loss_cls of type {type(head.loss_cls).__name__}')
    sizes = [level.shape[-2:] for level in outputs[0]]
    priors = head.prior_generator.grid_priors(sizes, device=outputs[0][0].device)
    widths = head.cls_out_channels, head.bbox_coder.encode_size, 1
    return [select(head, frame, flat, *map(flatten, level, widths))
            for flat, level in zip(priors, zip(*outputs))]


def select(head: BaseDenseHead, frame: Frame, priors: Tensor, logits: Tensor, deltas: Tensor,
           factors: Tensor | None = None, alive: Tensor | None = None) -> Candidates:
    """The best of one level, in pixels of the resized image.

    Args:
        head (BaseDenseHead): The head.
        frame (Frame): What the model saw.
        priors (Tensor): (M, width) of the level, or (N, M, width).
        logits (Tensor): (N, M, classes).
        deltas (Tensor): (N, M, 4).
        factors (Tensor, optional): (N, M, 1), logits of what the scores are multiplied with.
        alive (Tensor, optional): (N, M), which of them count; by default all.
    """
    scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]
    number, _, classes = scores.shape
    scores = scores.where(scores > head.test_cfg.get('score_thr', 0), 0)
    if alive is not None:
        scores = scores.where(alive[..., None], 0)
    scores = scores.flatten(1)
    limit = head.test_cfg.get('nms_pre', -1)
    if limit > 0 and not (isinstance(scores.shape[1], int) and scores.shape[1] <= limit):
        scores, places = top(scores, limit)
    else:
        places = torch.arange(scores.shape[1], device=scores.device).expand(number, -1)
    prior, labels = places // classes, places % classes
    if factors is not None:
        scores = scores * factors.squeeze(2).sigmoid().gather(1, prior)
    deltas = take(deltas, prior)
    priors = take(priors.expand(number, -1, -1), prior)
    boxes = head.bbox_coder.decode(priors.flatten(0, 1), deltas.flatten(0, 1),
                                   max_shape=frame.small)
    return Candidates(boxes.reshape(number, -1, 4), scores, labels)


def finish(head: BaseDenseHead, frame: Frame, levels: Sequence[Candidates],
           number: int) -> Candidates:
    """Suppresses the candidates of all levels; boxes are in pixels of the full-size image."""
    boxes, scores, labels = (torch.cat(each, dim=1) for each in zip(*levels))
    boxes = frame.to_full(boxes)
    least = head.test_cfg.get('min_bbox_size', -1)
    if least >= 0:
        large = (boxes[..., 2:] - boxes[..., :2] > least).all(dim=-1)
        scores = scores.where(large, 0)
    return suppress(Candidates(boxes, scores, labels), head.test_cfg['nms'], number)


def flatten(level: Tensor, width: int) -> Tensor:
    """Maps (N, A * width, H, W) as (N, H * W * A, width)."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width)


def take(values: Tensor, places: Tensor) -> Tensor:
    """Rows (N, K, width) of values (N, M, width) at places (N, K)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))

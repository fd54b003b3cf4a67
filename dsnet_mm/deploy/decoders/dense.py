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
    """The boxes that ``BaseDenseHead.predict_by_feat`` finds, in pixels of the input image.

    Args:
        head (BaseDenseHead): The head.
        outputs (Sequence): Of its forward: logits (N, A * classes, H_i, W_i) of each level, box
            deltas (N, A * 4, H_i, W_i) and, of some heads, logits (N, A, H_i, W_i) of factors by
            which the scores are multiplied, such as centerness.
        frame (Frame): The input of the model.
        number (int): The largest number of boxes.

    Raises:
        CannotExport: If the loss has its own activation, or suppression is of another type than
            ``nms``.
    """
    return finish(head, frame, select_by_level(head, outputs, frame), number)


def select_by_level(head: BaseDenseHead, outputs: Sequence[Sequence[Tensor]],
                    frame: Frame) -> list[Candidates]:
    """:func:`select` for each level; arguments and errors are those of :func:`decode`."""
    if getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False):
        raise CannotExport(f'loss_cls of type {type(head.loss_cls).__name__}')
    sizes = [level.shape[-2:] for level in outputs[0]]
    priors = head.prior_generator.grid_priors(sizes, device=outputs[0][0].device)
    widths = head.cls_out_channels, head.bbox_coder.encode_size, 1
    return [select(head, frame, flat, *map(flatten, level, widths))
            for flat, level in zip(priors, zip(*outputs))]


def select(head: BaseDenseHead, frame: Frame, priors: Tensor, logits: Tensor, deltas: Tensor,
           factors: Tensor | None = None, valid: Tensor | None = None) -> Candidates:
    """The ``test_cfg.nms_pre`` boxes of highest score, in pixels of the resized image.

    Args:
        head (BaseDenseHead): The head.
        frame (Frame): The input of the model.
        priors (Tensor): (M, width) or (N, M, width).
        logits (Tensor): (N, M, classes).
        deltas (Tensor): (N, M, 4).
        factors (Tensor, optional): (N, M, 1), logits of factors by which the scores are multiplied.
        valid (Tensor, optional): (N, M), the priors to consider. Default: all.
    """
    scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]
    images, _, classes = scores.shape
    scores = scores.where(scores > head.test_cfg.get('score_thr', 0), 0)
    if valid is not None:
        scores = scores.where(valid[..., None], 0)
    scores = scores.flatten(1)
    limit = head.test_cfg.get('nms_pre', -1)
    if limit > 0 and not (isinstance(scores.shape[1], int) and scores.shape[1] <= limit):
        scores, indices = top(scores, limit)
    else:
        indices = torch.arange(scores.shape[1], device=scores.device).expand(images, -1)
    prior, labels = indices // classes, indices % classes
    if factors is not None:
        scores = scores * factors.squeeze(2).sigmoid().gather(1, prior)
    deltas = take(deltas, prior)
    priors = take(priors.expand(images, -1, -1), prior)
    boxes = head.bbox_coder.decode(priors.flatten(0, 1), deltas.flatten(0, 1),
                                   max_shape=frame.resized_size)
    return Candidates(boxes.reshape(images, -1, 4), scores, labels)


def finish(head: BaseDenseHead, frame: Frame, levels: Sequence[Candidates],
           number: int) -> Candidates:
    """Suppresses the candidates of all levels, and scales boxes to pixels of the input image."""
    boxes, scores, labels = (torch.cat(each, dim=1) for each in zip(*levels))
    boxes = frame.to_image(boxes)
    min_size = head.test_cfg.get('min_bbox_size', -1)
    if min_size >= 0:
        scores = scores.where((boxes[..., 2:] - boxes[..., :2] > min_size).all(dim=-1), 0)
    return suppress(Candidates(boxes, scores, labels), head.test_cfg['nms'], number)


def flatten(level: Tensor, width: int) -> Tensor:
    """Reshapes maps (N, A * width, H, W) to (N, H * W * A, width)."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width)


def take(values: Tensor, indices: Tensor) -> Tensor:
    """The rows (N, K, width) of values (N, M, width) at indices (N, K)."""
    return values.gather(1, indices[..., None].expand(-1, -1, values.shape[2]))

"""Non-maximum suppression as one operator with an output of fixed shape: in PyTorch by torchvision,
in the file by ONNX's ``NonMaxSuppression``."""
from collections.abc import Callable
from typing import Any, NamedTuple

from dsnet_mm.deploy.errors import CannotExport

import torch
import torchvision
from torch import Tensor


class Candidates(NamedTuple):
    """Boxes before suppression; those with a score of 0 count as absent.

    Attributes:
        boxes (Tensor): (N, M, 4), x1, y1, x2, y2.
        scores (Tensor): (N, M).
        labels (Tensor): (N, M), integers.
    """
    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def pick(self, indices: Tensor) -> 'Candidates':
        """The candidates at indices (N, K); -1 gives a box of zeros with score 0 and label -1."""
        padding = indices < 0
        indices = indices.clamp(min=0)
        boxes = self.boxes.gather(1, indices[..., None].expand(-1, -1, 4))
        return Candidates(boxes.masked_fill(padding[..., None], 0),
                          self.scores.gather(1, indices).masked_fill(padding, 0),
                          self.labels.gather(1, indices).masked_fill(padding, -1))


def best(candidates: Candidates, number: int) -> Candidates:
    """The candidates of highest score, by falling score, padded as by ``pick``."""
    scores, indices = top(candidates.scores, number)
    return candidates.pick(indices.masked_fill(scores <= 0, -1))


def top(scores: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The highest scores (N, number) of non-negative scores (N, M), and their indices, padded by
    zeros."""
    padding = number if not isinstance(scores.shape[1], int) else max(number - scores.shape[1], 0)
    padded = torch.nn.functional.pad(scores, (0, padding)) if padding else scores
    values, indices = padded.topk(number)
    return values, torch.where(indices < scores.shape[1], indices, 0)


def suppress(candidates: Candidates, nms_cfg: dict[str, Any], number: int) -> Candidates:
    """The candidates that mmcv's ``batched_nms`` keeps.

    Args:
        candidates (Candidates): Of each image.
        nms_cfg (dict): ``test_cfg.nms`` of the head.
        number (int): The largest number of boxes.

    Raises:
        CannotExport: If suppression is of another type than ``nms``.
    """
    cfg = dict(nms_cfg)
    agnostic = cfg.pop('class_agnostic', False)
    threshold = cfg.pop('iou_threshold', None)
    cfg.pop('split_thr', None)  # does not change the result
    if cfg.pop('type', 'nms') != 'nms' or cfg or threshold is None:
        raise CannotExport(f'test_cfg.nms={dict(nms_cfg)}',
                           "set it to dict(type='nms', iou_threshold=...)")
    boxes, scores, labels = candidates
    if not agnostic:  # boxes of different classes are moved apart, as in batched_nms
        present = boxes.masked_fill((scores <= 0)[..., None], -torch.inf)
        reach = present.amax(dim=(1, 2), keepdim=True) + 1
        boxes = boxes + (labels[..., None] * reach).where((scores > 0)[..., None], 0)
    return candidates.pick(survivors(boxes, scores, float(threshold), number))


def _survivors(boxes: Tensor, scores: Tensor, iou_threshold: float, number: int) -> Tensor:
    """Indices (N, number) of the boxes (N, M, 4) with positive scores (N, M) that survive
    suppression, by falling score, padded by -1."""
    indices = scores.new_full((len(boxes), number), -1, dtype=torch.long)
    for row, each, values in zip(indices, boxes, scores):
        present = torch.nonzero(values > 0).flatten()
        kept = present[torchvision.ops.nms(each[present], values[present], iou_threshold)][:number]
        row[:len(kept)] = kept
    return indices


def _empty_survivors(boxes: Tensor, scores: Tensor, iou_threshold: float, number: int) -> Tensor:
    return scores.new_empty((boxes.shape[0], number), dtype=torch.long)


def _survivors_in_onnx(boxes: Any, scores: Any, iou_threshold: float, number: int) -> Any:
    import onnxscript  # needed only for export

    op: Any = onnxscript.opset18

    def integers(*values: int) -> Any:
        return op.Constant(value_ints=values)

    def floats(value: float) -> Any:
        return op.Constant(value_floats=[value])

    # Rows of image, class and box indices, sorted by image and falling score.
    rows = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, integers(1)), integers(number),
                                floats(iou_threshold), floats(0.))
    image = op.Slice(rows, integers(0), integers(1), integers(1))
    box = op.Squeeze(op.Slice(rows, integers(2), integers(3), integers(1)), integers(1))
    images = op.Shape(boxes, start=0, end=1)
    every = op.Range(op.Constant(value_int=0), op.Squeeze(images, integers(0)),
                     op.Constant(value_int=1))
    belongs = op.Cast(op.Equal(image, op.Unsqueeze(every, integers(0))), to=7)
    rank = op.Sub(op.GatherElements(op.CumSum(belongs, op.Constant(value_int=0)), image, axis=1),
                  integers(1))
    nothing = op.Expand(integers(-1), op.Concat(images, integers(number), axis=0))
    return op.ScatterND(nothing, op.Concat(image, rank, axis=1), box)


survivors: Any = _survivors
TRANSLATIONS: dict[Callable, Callable] = {}
if hasattr(torch.library, 'custom_op'):  # PyTorch 2.1 lacks it, and cannot export
    survivors = torch.library.custom_op('dsnet_mm::survivors', mutates_args=())(_survivors)
    survivors.register_fake(_empty_survivors)
    TRANSLATIONS[torch.ops.dsnet_mm.survivors.default] = _survivors_in_onnx

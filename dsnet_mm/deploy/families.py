"""Which detectors can be exported, and how each decodes its outputs."""
from collections.abc import Callable
from typing import Any, NamedTuple

from dsnet_mm.deploy import centernet, dense, detr, refinedet, yolox
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.suppression import Candidates
from dsnet_mm.models.refinedet import RefineDetHead

from mmdet.models import DETR, SingleStageDetector
from mmdet.models.dense_heads import CenterNetHead, DETRHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.model import BaseModel
from torch import nn


class Family(NamedTuple):
    """Heads that decode alike.

    Attributes:
        model (type): The model whose ``predict`` theirs inherits.
        owner (type): The class whose methods the heads inherit.
        methods (tuple[str, ...]): The methods that ``decode`` stands for.
        decode (Callable): From the head, the outputs of its forward, the frame and the number of
            boxes to the boxes of the full-size image.
    """
    model: Any
    owner: Any
    methods: tuple[str, ...]
    decode: Callable[..., Candidates]

    def fits(self, model: BaseModel, head: nn.Module | None) -> bool:
        """Whether a model and its head inherit all of the methods."""
        return type(model).predict is self.model.predict and all(
            getattr(type(head), name, None) is getattr(self.owner, name) for name in self.methods)


_SINGLE = 'predict_by_feat', '_predict_by_feat_single'
_POST = (*_SINGLE, '_bbox_post_process')

FAMILIES = (
    Family(SingleStageDetector, BaseDenseHead, ('predict', *_POST), dense.decode),
    Family(SingleStageDetector, YOLOXHead, ('predict', 'predict_by_feat', '_bbox_post_process',
                                            '_bbox_decode'), yolox.decode),
    Family(SingleStageDetector, CenterNetHead, ('predict', *_SINGLE, '_decode_heatmap'),
           centernet.decode),
    Family(SingleStageDetector, RefineDetHead, ('predict', *_POST, 'refine'), refinedet.decode),
    Family(DETR, DETRHead, ('predict', *_SINGLE), detr.decode),
)


def find_family(model: BaseModel) -> Family:
    """The family of a detector.

    Raises:
        CannotExport: If it is of none, or padding would have to be hidden from it.
    """
    kind, head = type(model), getattr(model, 'bbox_head', None)
    family = next((family for family in FAMILIES if family.fits(model, head)), None)
    if family is None:
        what = '' if head is None else f' with {type(head).__name__}.predict_by_feat'
        raise CannotExport(f'{kind.__name__}.predict{what}')
    divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1)
    if family.decode is detr.decode and divisor > 1:
        raise CannotExport(f'{kind.__name__} behind pad_size_divisor={divisor}',
                           'set model.data_preprocessor.pad_size_divisor=1')
    return family

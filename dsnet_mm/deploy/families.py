"""Which detectors can be exported, and how each decodes its outputs."""
from collections.abc import Callable
from typing import NamedTuple

from dsnet_mm.deploy import dense
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.suppression import Candidates

from mmdet.models import SingleStageDetector
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.model import BaseModel
from torch import nn


class Family(NamedTuple):
    """Heads that decode alike.

    Attributes:
        owner (type): The class whose methods they inherit.
        methods (tuple[str, ...]): The methods that ``decode`` stands for.
        decode (Callable): From the head, the outputs of its forward, the frame and the number of
            boxes to the boxes of the full-size image.
    """
    owner: type
    methods: tuple[str, ...]
    decode: Callable[..., Candidates]

    def fits(self, head: nn.Module) -> bool:
        """Whether a head inherits all of the methods."""
        return all(getattr(type(head), name, None) is getattr(self.owner, name)
                   for name in self.methods)


FAMILIES = (
    Family(BaseDenseHead, ('predict', 'predict_by_feat', '_predict_by_feat_single',
                           '_bbox_post_process'), dense.decode),
)


def find_family(model: BaseModel) -> Family:
    """The family of a detector.

    Raises:
        CannotExport: If it is of none.
    """
    kind, head = type(model), getattr(model, 'bbox_head', None)
    if kind.predict is not SingleStageDetector.predict:
        raise CannotExport(f'{kind.__name__}.predict')
    for family in FAMILIES:
        if family.fits(head):
            return family
    raise CannotExport(f'{type(head).__name__}.predict_by_feat of {kind.__name__}')

"""Which detectors can be exported, and how each decodes its outputs."""
from collections.abc import Callable
from typing import Any, NamedTuple

from dsnet_mm.deploy.decoders import centernet, dense, detr, refinedet, two_stage, yolox
from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.zoo.refinedet import RefineDetHead

from mmdet.models import (
    DETR,
    BBoxHead,
    SingleStageDetector,
    StandardRoIHead,
    TwoStageDetector,
)
from mmdet.models.dense_heads import CenterNetHead, DETRHead, RPNHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement

# DETR asks whether there is padding.
_SAMPLE = BaseDataElement(metainfo=dict(img_shape=(1, 1), batch_input_shape=(1, 1)))


def run(model: BaseModel, frame: Frame) -> Any:
    """Computes the model's outputs before decoding."""
    return model(frame.inputs, [_SAMPLE], mode='tensor')


class Family(NamedTuple):
    """Detectors that decode alike.

    Attributes:
        model (type): The model whose ``predict`` theirs inherits.
        parts (dict): By a part's place in the model the class whose methods it inherits, and the
            methods that stand here as a graph. The first part is the one that ``decode`` takes.
        decode (Callable): From that part, the outputs, the frame and the number of boxes to the
            boxes of the full-size image.
        outputs (Callable): From model and frame to the outputs.
    """
    model: Any
    parts: dict[str, tuple[Any, tuple[str, ...]]]
    decode: Callable[..., Candidates]
    outputs: Callable[[BaseModel, Frame], Any] = run

    def fits(self, model: BaseModel) -> bool:
        """Whether a model and its parts inherit all of the methods."""
        return type(model).predict is self.model.predict and all(
            getattr(type(_part(model, path)), name, None) is getattr(owner, name)
            for path, (owner, methods) in self.parts.items() for name in methods)

    def head(self, model: BaseModel) -> Any:
        """The part of a model that ``decode`` takes."""
        return _part(model, next(iter(self.parts)))

    def detect(self, model: BaseModel, frame: Frame, number: int) -> Candidates:
        """Runs the model and decodes at most ``number`` boxes of the full-size image."""
        return self.decode(self.head(model), self.outputs(model, frame), frame, number)


def _part(model: BaseModel, path: str) -> Any:
    part = model
    for name in path.split('.'):
        part = getattr(part, name, None)
    return part


_SINGLE = 'predict_by_feat', '_predict_by_feat_single'
_POST = 'predict', *_SINGLE, '_bbox_post_process'

FAMILIES = (
    Family(SingleStageDetector, {'bbox_head': (BaseDenseHead, _POST)}, dense.decode),
    Family(SingleStageDetector, {'bbox_head': (YOLOXHead, (
        'predict', 'predict_by_feat', '_bbox_post_process', '_bbox_decode'))}, yolox.decode),
    Family(SingleStageDetector, {'bbox_head': (CenterNetHead, (
        'predict', *_SINGLE, '_decode_heatmap'))}, centernet.decode),
    Family(SingleStageDetector, {'bbox_head': (RefineDetHead, (*_POST, 'refine'))},
           refinedet.decode),
    Family(DETR, {'bbox_head': (DETRHead, ('predict', *_SINGLE))}, detr.decode),
    Family(TwoStageDetector, {
        'roi_head': (StandardRoIHead, ('predict', 'predict_bbox', '_bbox_forward')),
        'roi_head.bbox_head': (BBoxHead, _SINGLE),
        'rpn_head': (RPNHead, _POST),
    }, two_stage.decode, two_stage.propose),
)


def find_family(model: BaseModel) -> Family:
    """The family of a detector.

    Raises:
        CannotExport: If it is of none, or padding would have to be hidden from it.
    """
    kind = type(model)
    family = next((family for family in FAMILIES if family.fits(model)), None)
    if family is None:
        heads = [f'{type(part).__name__}.{method}' for name, method in (
            ('bbox_head', 'predict_by_feat'), ('roi_head', 'predict'))
            if (part := _part(model, name)) is not None]
        raise CannotExport(' with '.join([f'{kind.__name__}.predict', *heads]))
    divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1)
    if family.decode is detr.decode and divisor > 1:
        raise CannotExport(f'{kind.__name__} behind pad_size_divisor={divisor}',
                           'set model.data_preprocessor.pad_size_divisor=1')
    return family

"""The families of detectors that can be exported, each with its decoding."""
from collections.abc import Callable
from typing import Any, NamedTuple

from dsnet_mm.deploy.decoders import dense, single_stage, two_stage
from dsnet_mm.deploy.decoders.frame import Frame, raw_outputs
from dsnet_mm.deploy.decoders.suppression import Candidates
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.zoo.refinedet import RefineDetHead

from mmdet.models import DETR, BBoxHead, SingleStageDetector, StandardRoIHead, TwoStageDetector
from mmdet.models.dense_heads import CenterNetHead, DETRHead, RPNHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.model import BaseModel


class Family(NamedTuple):
    """Detectors that share a decoding.

    Attributes:
        model (type): The class from which the model inherits ``predict``.
        parts (dict): For each part of the model that decodes, by its attribute path, the class from
            which it inherits, and the methods that ``decode`` replaces.
        decode (Callable): From the first part, the outputs, the frame and the largest number of
            boxes to boxes in pixels of the input image.
        outputs (Callable): From model and frame to the outputs.
    """
    model: Any
    parts: dict[str, tuple[Any, tuple[str, ...]]]
    decode: Callable[..., Candidates]
    outputs: Callable[[BaseModel, Frame], Any] = lambda model, frame: raw_outputs(
        model, frame.batch)

    def fits(self, model: BaseModel) -> bool:
        """Whether a model and its parts inherit all these methods unchanged."""
        return type(model).predict is self.model.predict and all(
            getattr(type(_part(model, path)), name, None) is getattr(owner, name)
            for path, (owner, methods) in self.parts.items() for name in methods)

    def head(self, model: BaseModel) -> Any:
        """The part of a model that is given to ``decode``."""
        return _part(model, next(iter(self.parts)))

    def detect(self, model: BaseModel, frame: Frame, number: int) -> Candidates:
        """The best ``number`` boxes or fewer, in pixels of the input image."""
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
        'predict', 'predict_by_feat', '_bbox_post_process', '_bbox_decode'))},
        single_stage.decode_yolox),
    Family(SingleStageDetector, {'bbox_head': (CenterNetHead, (
        'predict', *_SINGLE, '_decode_heatmap'))}, single_stage.decode_centernet),
    Family(SingleStageDetector, {'bbox_head': (RefineDetHead, (*_POST, 'refine'))},
           single_stage.decode_refinedet),
    Family(DETR, {'bbox_head': (DETRHead, ('predict', *_SINGLE))}, single_stage.decode_detr),
    Family(TwoStageDetector, {
        'roi_head': (StandardRoIHead, ('predict', 'predict_bbox', '_bbox_forward')),
        'roi_head.bbox_head': (BBoxHead, _SINGLE),
        'rpn_head': (RPNHead, _POST),
    }, two_stage.decode, two_stage.propose),
)


def find_family(model: BaseModel) -> Family:
    """The family of a detector.

    Raises:
        CannotExport: If it is of none, or a DETR whose images are padded.
    """
    kind = type(model)
    family = next((family for family in FAMILIES if family.fits(model)), None)
    if family is None:
        heads = [f'{type(part).__name__}.{method}' for name, method in (
            ('bbox_head', 'predict_by_feat'), ('roi_head', 'predict'))
            if (part := _part(model, name)) is not None]
        raise CannotExport(' with '.join([f'{kind.__name__}.predict', *heads]))
    divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1)
    if family.decode is single_stage.decode_detr and divisor > 1:
        raise CannotExport(f'{kind.__name__} behind pad_size_divisor={divisor}',
                           'set model.data_preprocessor.pad_size_divisor=1')
    return family

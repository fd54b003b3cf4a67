"""A whole model as a traceable function from input images to boxes or label maps."""
from collections.abc import Sequence

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.preprocessing import PipelineSteps, Preprocessing, test_pipeline
from dsnet_mm.resizers.ops.size import top_left

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

DEFAULT_BOXES = 300  # where the config sets no limit


class Graph(nn.Module):
    """Base class of the functions.

    Args:
        model (BaseModel): A model behind a Downsize preprocessor, in evaluation mode.
        preprocessing (Preprocessing): From input images to the input of the model.
    """
    task: str
    names: Sequence[str]

    def __init__(self, model: BaseModel, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing


class DetectorGraph(Graph):
    """Returns boxes (N, k, 4), x1, y1, x2, y2 in pixels of the input image, scores (N, k) and
    labels (N, k), by falling score; where fewer than k boxes are found, boxes of zeros with score 0
    and label -1 follow.

    Args:
        number (int, optional): k. Default: the config's ``max_per_img``, or 300.

    Raises:
        CannotExport: If the detector belongs to no known family.
    """
    task = 'detection'
    names = ('boxes', 'scores', 'labels')

    def __init__(self, model: BaseModel, preprocessing: Preprocessing,
                 number: int | None = None) -> None:
        super().__init__(model, preprocessing)
        from dsnet_mm.deploy.decoders.families import find_family
        self.family = find_family(model)
        limit = self.family.head(model).test_cfg.get('max_per_img', -1)
        self.number = number or (limit if limit > 0 else DEFAULT_BOXES)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.family.detect(self.model, self.preprocessing(images), self.number))


class SegmenterGraph(Graph):
    """Returns label maps (N, H, W) of the size of the input image.

    Args:
        scores (bool): Return also the logits (N, classes, h, w) of the resized image, without
            padding; with a ``GuidedHead`` those of its map, before upsampling.

    Raises:
        CannotExport: If the model infers with sliding windows, or overrides mmseg's inference.
    """
    task = 'segmentation'

    def __init__(self, model: BaseModel, preprocessing: Preprocessing,
                 scores: bool = False) -> None:
        super().__init__(model, preprocessing)
        from mmseg.models import EncoderDecoder
        kind = type(model)
        for name in ('predict', 'inference', 'whole_inference', 'postprocess_result'):
            if getattr(kind, name, None) is not getattr(EncoderDecoder, name):
                raise CannotExport(f'{kind.__name__}.{name}, which is not that of EncoderDecoder,')
        if model.test_cfg.get('mode', 'whole') != 'whole':
            raise CannotExport(f"test_cfg.mode={model.test_cfg['mode']!r}",
                               'set model.test_cfg.mode=whole')
        from dsnet_mm.models.heads.guided_head import GuidedHead
        heads = model.decode_head
        head = heads[-1] if isinstance(heads, nn.ModuleList) else heads
        self.guided_head = head if isinstance(head, GuidedHead) else None
        self.scores = scores
        self.names = ('labels', 'scores') if scores else ('labels', )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        frame = self.preprocessing(images)
        if self.guided_head is None:
            meta = dict(img_shape=frame.padded_size, pad_shape=frame.padded_size)
            logits = upsampled = top_left(self.model.encode_decode(frame.batch, [meta]),
                                          frame.resized_size)
        else:
            logits = self.model(frame.batch, mode='tensor')
            upsampled = self.guided_head.upsample(logits, frame.images, frame.resized_size,
                                                  frame.padded_size)
        if self.guided_head is None or self.preprocessing.steps.resizes:
            upsampled = F.interpolate(upsampled, frame.image_size, mode='bilinear',
                                      align_corners=self.model.align_corners)
        if logits.shape[1] > 1:
            labels = upsampled.argmax(dim=1)
        else:
            labels = upsampled.squeeze(1).sigmoid() > self.model.decode_head.threshold
        labels = labels.to(torch.uint8 if logits.shape[1] <= 256 else torch.int32)
        return (labels, logits) if self.scores else (labels, )


def build_graph(model: BaseModel, cfg: Config, layout: str = 'nhwc', channel_order: str = 'bgr',
                number: int | None = None, scores: bool = False) -> Graph:
    """Builds the function of a model.

    Args:
        model (BaseModel): Built from the config, with its weights.
        cfg (Config): Its test pipeline becomes part of the function.
        layout, channel_order (str): Of the input images, see
            :class:`~dsnet_mm.deploy.export.preprocessing.Preprocessing`.
        number (int, optional): The largest number of boxes of a detector.
        scores (bool): Return also the logits of a segmenter.

    Raises:
        CannotExport: If something in the model or its config cannot be expressed as one graph.
    """
    preprocessing = Preprocessing(model.data_preprocessor, PipelineSteps(test_pipeline(cfg)),
                                  layout, channel_order)
    model.eval().requires_grad_(False)
    bases = {base.__name__ for base in type(model).__mro__}  # one of the packages may be missing
    if 'BaseSegmentor' in bases:
        if number is not None:
            raise CannotExport('a number of boxes of a segmenter', 'leave it out')
        return SegmenterGraph(model, preprocessing, scores).eval()
    if 'BaseDetector' in bases:
        if scores:
            raise CannotExport('score maps of a detector', 'leave them out')
        return DetectorGraph(model, preprocessing, number).eval()
    raise CannotExport(f'a model of type {type(model).__name__}, neither a detector of mmdet nor a '
                       'segmenter of mmseg,')

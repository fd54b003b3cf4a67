"""A model from the full-size image to its result, as one function of tensors that can be traced."""
from collections.abc import Sequence
from importlib.util import find_spec

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.framing import Framing
from dsnet_mm.deploy.export.steps import PipelineSteps
from dsnet_mm.resizers.ops.size import top_left

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

LARGEST_NUMBER = 300  # of boxes, where the config has no limit


class Graph(nn.Module):
    """The part that detectors and segmenters share.

    Args:
        model (BaseModel): A model behind a Downsize preprocessor, in evaluation mode.
        framing (Framing): From the full-size image to what the model sees.
    """
    task: str
    names: Sequence[str]

    def __init__(self, model: BaseModel, framing: Framing) -> None:
        super().__init__()
        self.model, self.framing = model, framing


class Detector(Graph):
    """Boxes (N, k, 4), corners x1, y1, x2, y2 in pixels of the full-size image, scores (N, k) and
    labels (N, k), by falling score; where there are fewer than k, boxes of zeros with score 0 and
    label -1 follow.

    Args:
        number (int, optional): k. By default the config's ``max_per_img``, or 300.

    Raises:
        CannotExport: If nobody has written the model's decoding as a graph.
    """
    task = 'detection'
    names = ('boxes', 'scores', 'labels')

    def __init__(self, model: BaseModel, framing: Framing, number: int | None = None) -> None:
        super().__init__(model, framing)
        from dsnet_mm.deploy.decoders.families import find_family
        self.family = find_family(model)
        limit = self.family.head(model).test_cfg.get('max_per_img', -1)
        self.number = number or (limit if limit > 0 else LARGEST_NUMBER)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.family.detect(self.model, self.framing(images), self.number))


class Segmenter(Graph):
    """A label map (N, H, W) of the full-size image and, if wanted, the scores of which it is made.

    Args:
        scores (bool): Return the model's ``scores`` (N, classes, h, w) as well, before they are
            enlarged: logits, those of the padding cut off, except with a ``GuidedHead``.

    Raises:
        CannotExport: If the model infers in windows or in a way of its own.
    """
    task = 'segmentation'

    def __init__(self, model: BaseModel, framing: Framing, scores: bool = False) -> None:
        super().__init__(model, framing)
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
        frame = self.framing(images)
        if self.guided_head is None:
            meta = dict(img_shape=frame.padded, pad_shape=frame.padded)
            logits = large = top_left(self.model.encode_decode(frame.inputs, [meta]), frame.small)
        else:
            logits = self.model(frame.inputs, mode='tensor')
            large = self.guided_head.upsample(logits, frame.large, frame.small, frame.padded)
        if self.guided_head is None or self.framing.steps.resizes:
            large = F.interpolate(large, frame.full, mode='bilinear',
                                  align_corners=self.model.align_corners)
        if logits.shape[1] > 1:
            labels = large.argmax(dim=1)
        else:
            labels = large.squeeze(1).sigmoid() > self.model.decode_head.threshold
        labels = labels.to(torch.uint8 if logits.shape[1] <= 256 else torch.int32)
        return (labels, logits) if self.scores else (labels, )


def build_graph(model: BaseModel, cfg: Config, layout: str = 'nhwc', channel_order: str = 'bgr',
                number: int | None = None, scores: bool = False) -> Graph:
    """The graph of a model.

    Args:
        model (BaseModel): Built from the config, with its weights.
        cfg (Config): Its test pipeline becomes part of the graph.
        layout, channel_order (str): Of the full-size images, see
            :class:`~dsnet_mm.deploy.export.framing.Framing`.
        number (int, optional): Of boxes, for detectors.
        scores (bool): Return low-size scores as well, for segmenters.

    Raises:
        CannotExport: If something in the model or its config has no place in a graph.
    """
    framing = Framing(model.data_preprocessor, PipelineSteps(test_pipeline(cfg)), layout,
                      channel_order)
    model.eval().requires_grad_(False)
    if _is_a(model, 'mmseg', 'BaseSegmentor'):
        if number is not None:
            raise CannotExport('a number of boxes of a segmenter', 'leave it out')
        return Segmenter(model, framing, scores).eval()
    if _is_a(model, 'mmdet', 'BaseDetector'):
        if scores:
            raise CannotExport('maps of scores of a detector', 'leave them out')
        return Detector(model, framing, number).eval()
    raise CannotExport(f'a model of type {type(model).__name__}, neither a detector of mmdet nor a '
                       'segmenter of mmseg,')


def test_pipeline(cfg: Config) -> list[dict]:
    """The test pipeline of a config.

    Raises:
        CannotExport: If it has none.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:  # a wrapped one
        dataset = dataset['dataset']
    if not dataset.get('pipeline'):
        raise CannotExport('a config without test_dataloader.dataset.pipeline', 'give it one')
    return dataset['pipeline']


def _is_a(model: BaseModel, package: str, name: str) -> bool:
    if find_spec(package) is None:
        return False
    models = __import__(f'{package}.models', fromlist=['models'])
    return isinstance(model, getattr(models, name))

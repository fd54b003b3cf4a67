"""Any segmentation head, with guided upsampling of its logits to the input image's size."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.models.data_preprocessors.guide import Guide
from dsnet_mm.models.data_preprocessors.samples import padded_size
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers import BilinearUpsampling
from dsnet_mm.resizers.apply import enlarge
from dsnet_mm.resizers.guided import build_upsampling
from dsnet_mm.resizers.ops.size import Size, check_positive, size_of, top_left

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@MODELS.register_module()
class GuidedHead(BaseModule):
    """A head of mmseg whose logits :class:`~dsnet_mm.resizers.GuidedUpsampling` enlarges to the
    input image's size, in the loss and in predictions.

    It needs a preprocessor that keeps the label maps at that size::

        model = dict(
            data_preprocessor=dict(type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.3,
                                   resize_gt_sem_seg=False),
            decode_head=dict(type='dsnet_mm.GuidedHead', head=dict(type='FCNHead', ...)))

    Untrained it predicts nearly what the wrapped head does, whose logits ``forward`` returns. Slide
    inference needs ``type='dsnet_mm.GuidedEncoderDecoder'``.

    Args:
        head (dict): Config of the wrapped head, which returns one map of logits and has the
            ``loss`` and ``predict`` of mmseg's ``BaseDecodeHead`` or ``BaseCascadeDecodeHead``.
        upsampling (dict, optional): Arguments of :class:`~dsnet_mm.resizers.GuidedUpsampling`. With
            ``weights`` the others default to those it was trained with.
        guided (bool): ``False`` upsamples bilinearly: the baseline.
        loss_bands (int): Compute the loss in so many bands of rows, each again for its gradient:
            memory holds the enlarged logits of one band. Losses that are means over all pixels,
            such as mmseg's ``CrossEntropyLoss``, stay the same; ``DiceLoss`` becomes each band's.
        init_cfg (dict, optional): mmengine's.

    Raises:
        TypeError: If the head has a loss or predictions of its own.
        ValueError: If it aligns corners, or an argument is out of range.
    """

    def __init__(self, head: dict, upsampling: dict | None = None, guided: bool = True,
                 loss_bands: int = 1, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        check_positive(loss_bands=loss_bands)
        self.loss_bands = loss_bands
        self.head = MMSEG_MODELS.build(head)
        _check_head(self.head)
        # Later modules start from the same random weights as without guidance.
        with torch.random.fork_rng(devices=[]):
            self.upsampling = build_upsampling(upsampling or {}) if guided else BilinearUpsampling()

    def __getattr__(self, name: str) -> Any:
        """The head's own attributes, which mmseg reads: ``num_classes``, ``align_corners``..."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'head':
                raise
            return getattr(self.head, name)

    def init_weights(self) -> None:
        """Initialises the head; a model's own ``init_cfg`` must not reach the upsampling."""
        devices = {p.device for p in self.upsampling.parameters() if p.is_cuda}
        with torch.random.fork_rng(devices):
            self.upsampling.reset_parameters()
        super().init_weights()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Also loads a checkpoint of the wrapped head, whose keys lack 'head.'.
        own = tuple(f'{prefix}{name}.' for name in self._modules)
        for key in [key for key in state_dict if key.startswith(prefix)]:
            if not key.startswith(own):
                state_dict[f'{prefix}head.{key.removeprefix(prefix)}'] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, *inputs: Any) -> Tensor:
        """The wrapped head's logits (N, classes, h, w)."""
        return self.head(*inputs)

    def loss(self, *inputs: Any) -> dict[str, Tensor]:
        """The wrapped head's losses on enlarged logits, the mean over images of different sizes;
        arguments as of its own ``loss``."""
        *features, samples, _ = inputs
        logits = self.head(*features)
        losses: dict[str, Tensor] = {}
        for group in _by_size([sample.metainfo for sample in samples]):
            height = size_of(next(iter(group.values())).image)[0]
            bounds = [height * i // self.loss_bands for i in range(self.loss_bands + 1)]
            for start, stop in zip(bounds, bounds[1:]):
                share = len(group) / len(samples) * (stop - start) / height
                rows = slice(start, stop)
                arguments = logits, group, [_labelled(samples[i], rows) for i in group], rows
                found = (self._loss(*arguments) if self.loss_bands == 1 else
                         checkpoint(self._loss, *arguments, use_reentrant=False))
                for name, value in found.items():
                    losses[name] = losses.get(name, 0) + value * share
        return losses

    def _loss(self, logits: Tensor, group: dict[int, Guide], labelled: list[SegDataSample],
              rows: slice) -> dict[str, Tensor]:
        return self.head.loss_by_feat(self._enlarge(logits, group, rows), labelled)

    def predict(self, *inputs: Any) -> Tensor:
        """Logits (N, classes, H, W) of the input images' size; arguments as of the wrapped head's
        own ``predict``."""
        *features, metas, test_cfg = inputs
        if (test_cfg or {}).get('mode') == 'slide':
            raise RuntimeError("mmseg's slide inference joins windows of the resized image: set "
                               "model.type='dsnet_mm.GuidedEncoderDecoder', which enlarges the "
                               "joined logits, or test_cfg=dict(mode='whole')")
        return self.enlarge(self.head(*features), metas)

    def enlarge(self, logits: Tensor, metas: Sequence[dict]) -> Tensor:
        """Enlarges the logits (N, classes, h, w) of a batch to (N, classes, H, W), given the
        metainfo of its images."""
        group, *others = _by_size(metas)
        if others:
            raise ValueError('predictions for images of different sizes do not fit into one batch: '
                             'set the batch_size of the dataloader to 1')
        enlarged = self._enlarge(logits, group)
        # mmseg crops this padding afterwards.
        padding = metas[0].get('img_padding_size', metas[0].get('padding_size', (0, 0, 0, 0)))
        return F.pad(enlarged, tuple(padding)) if any(padding) else enlarged

    def _enlarge(self, logits: Tensor, group: dict[int, Guide],
                 rows: slice | None = None) -> Tensor:
        """Enlarges the logits of one group of :func:`_by_size`."""
        indices, guides = zip(*group.items())
        images = torch.stack([guide.image for guide in guides])
        if not isinstance(logits, Tensor):
            raise TypeError(f'{type(self.head).__name__} returns {type(logits).__name__} instead of'
                            ' one map of logits: GuidedHead cannot enlarge that')
        return self.upsample(logits[list(indices)], images, guides[0].size, guides[0].padded, rows)

    def upsample(self, logits: Tensor, images: Tensor, size: Size, padded: Size,
                 rows: slice | None = None) -> Tensor:
        """Enlarges logits (N, classes, h, w) to the size of the input images (N, C, H, W), or to
        some of its rows; the other sizes are those of the resized images and, padded, of the
        network's input."""
        sides = list(zip(size_of(logits), size, padded))
        y, x = (n * shown / whole for n, shown, whole in sides)
        # Logits beyond the image are those of its padding.
        height, width = (-(-n * shown // whole) for n, shown, whole in sides)
        return enlarge(self.upsampling, top_left(logits, (height, width)), images, (y, x), rows)


@MODELS.register_module()
class GuidedEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` for a :class:`GuidedHead` in slide inference: joins the windows'
    logits, then enlarges them.

    In training and in whole inference it is ``EncoderDecoder``.
    """

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Returns enlarged logits (N, classes, H, W) of resized images (N, C, h, w)."""
        logits = super().slide_inference(inputs, batch_img_metas)
        return self.decode_head.enlarge(logits, batch_img_metas)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Returns the wrapped head's logits of a window in slide inference, else enlarged ones."""
        if self.test_cfg.mode != 'slide':
            return super().encode_decode(inputs, batch_img_metas)
        features = self.extract_feat(inputs)
        return self.decode_head.head.predict(features, batch_img_metas, self.test_cfg)


def _check_head(head: Any) -> None:
    name = type(head).__name__
    kind = BaseCascadeDecodeHead if isinstance(head, BaseCascadeDecodeHead) else BaseDecodeHead
    if not isinstance(head, kind) or any(
            getattr(type(head), method) is not getattr(kind, method)
            for method in ('loss', 'predict', 'predict_by_feat')):
        raise TypeError(f'{name} has a loss or predictions of its own, which GuidedHead would '
                        'ignore: it takes heads with those of BaseDecodeHead')
    if head.align_corners:
        raise ValueError(f'GuidedHead does not align corners: set align_corners=False in {name}')


def _by_size(metas: Sequence[dict]) -> list[dict[int, Guide]]:
    """The guides by their image's index in the batch, grouped by size."""
    groups: dict[tuple, dict[int, Guide]] = {}
    for index, meta in enumerate(metas):
        if 'guide' not in meta:
            raise RuntimeError('GuidedHead needs the input images: set '
                               "data_preprocessor=dict(type='dsnet_mm.DownsizeSegDataPreProcessor',"
                               ' resize_gt_sem_seg=False, ...), give it data samples, and keep '
                               'its output until the head has run')
        guide = meta['guide']
        key = guide.image.shape, guide.image.dtype, guide.size, guide.padded
        groups.setdefault(key, {})[index] = guide
    return list(groups.values())


def _labelled(sample: SegDataSample, rows: slice) -> SegDataSample:
    """The sample with some rows of its label map, without padding."""
    guide, labels = sample.guide, sample.gt_sem_seg.data
    size = size_of(guide.image)
    if size_of(labels) != padded_size(size, guide.size, guide.padded):
        raise ValueError(f'GuidedHead needs labels of the size of their image, {size}, got '
                         f'{size_of(labels)} after padding')
    sample = sample.new()
    sample.gt_sem_seg = PixelData(data=labels[..., rows, :size[1]])
    return sample

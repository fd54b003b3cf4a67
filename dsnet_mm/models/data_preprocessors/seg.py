"""A resizer in front of any mmseg model."""
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dsnet_mm.models.data_preprocessors.guide import Guide
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.models.data_preprocessors.samples import MAPS, padded_size
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.ops.size import Size, size_of

import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData
from mmseg.models.data_preprocessor import SegDataPreProcessor
from torch import Tensor


@MODELS.register_module()
class DownsizeSegDataPreProcessor(DownsizeMixin, SegDataPreProcessor):
    """mmseg's ``SegDataPreProcessor`` behind a resizer.

    One line over any mmseg config::

        model = dict(data_preprocessor=dict(
            type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.35))

    The arguments are those of :class:`~dsnet_mm.DownsizeMixin` and of ``SegDataPreProcessor``.
    Its ``size``, in training and in ``test_cfg``, is mapped to the resized image; without it and
    ``size_divisor`` a batch is padded to its largest image. For slide inference give the model's
    ``crop_size`` and ``stride`` in resized pixels.

    Args:
        resize_gt_sem_seg (bool): Resize the label maps with the images. ``False`` trains against
            labels at high resolution, to which mmseg then enlarges the logits, and keeps the large
            images as ``guide`` in the metainfo, for
            :class:`~dsnet_mm.GuidedHead`, as long as the network's input lives:
            predictions no longer have it. Labels of another size than the resized image are padded
            in proportion to it.

    Raises:
        ValueError: In training, if both ``size`` and ``size_divisor`` are given.
    """

    size: Size | None
    size_divisor: int | None
    test_cfg: dict | None

    def __init__(self, *args: Any, resize_gt_sem_seg: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.resize_gt_sem_seg = resize_gt_sem_seg
        if self.size is None and self.size_divisor is None:
            self.size_divisor = 1  # pads to the largest image; mmseg's assertion wants one of them
        self._unresized = self.size
        self._map_sizes(self.output_size)
        if self.test_cfg and self.test_cfg.get('size') is not None:
            self.test_cfg = {**self.test_cfg, 'size': self.output_size(*self.test_cfg['size'])}

    def forward(self, data: dict, training: bool = False) -> dict:
        """See :meth:`DownsizeMixin.forward`."""
        if training and self.size is not None and self.size_divisor is not None:
            raise ValueError(f'data_preprocessor has both size={self.size} and size_divisor='
                             f'{self.size_divisor}: set one of them to None')
        data = super().forward(data, training)
        samples, padded = data['data_samples'] or (), size_of(data['inputs'])
        for sample in samples:
            if 'guide' in sample:
                guide = replace(sample.guide, padded=padded)
                sample.set_field(guide, 'guide', field_type='metainfo')
            if training:
                self._pad_maps(sample, padded)
        # A model hands on the samples with its predictions, but nobody keeps its input.
        guided = [weakref.ref(sample) for sample in samples if 'guide' in sample]
        if guided:
            weakref.finalize(data['inputs'], _drop_guides, guided)
        return data

    def _pad_maps(self, sample: BaseDataElement, padded: Size) -> None:
        """Pads in proportion what mmseg has padded by as many pixels as the image."""
        _, right, _, below = sample.padding_size
        for name in MAPS:
            if name not in sample or not (right or below):
                continue
            maps = sample.get(name).data
            height, width = maps.shape[-2] - below, maps.shape[-1] - right
            rows, columns = padded_size((height, width), sample.img_shape, padded)
            maps = F.pad(maps[..., :height, :width], (0, columns - width, 0, rows - height),
                         value=self.seg_pad_val)
            setattr(sample, name, PixelData(data=maps))

    def _rescale(self, sample: BaseDataElement, image: Tensor, resized: Tensor,
                 training: bool) -> BaseDataElement:
        sample = super()._rescale(sample, image, resized, training)
        if not self.resize_gt_sem_seg:
            size = size_of(resized)
            sample.set_field(Guide(image, size, size), 'guide', field_type='metainfo')
        return sample

    def _map_sizes(self, output_size: OutputSize) -> None:
        if self._unresized is not None:
            self.size = output_size(*self._unresized)

    def _rescale_ground_truth(self, sample: BaseDataElement, size_in: Size,
                              size_out: Size) -> None:
        if self.resize_gt_sem_seg:
            super()._rescale_ground_truth(sample, size_in, size_out)


def _drop_guides(samples: Sequence[weakref.ref]) -> None:
    for reference in samples:
        sample = reference()
        if sample is not None and 'guide' in sample:
            del sample.guide

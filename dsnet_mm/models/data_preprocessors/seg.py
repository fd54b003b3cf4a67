"""A resizer in front of any mmseg model."""
import weakref
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

    Takes the arguments of :class:`~dsnet_mm.DownsizeMixin` and of ``SegDataPreProcessor``. Its
    ``size``, in training and in ``test_cfg``, is that of the input images, and is rescaled like
    them. Without it and ``size_divisor`` a batch is padded to its largest image. For slide
    inference give the model's ``crop_size`` and ``stride`` in resized pixels.

    Args:
        resize_gt_sem_seg (bool): Resize the label maps with the images. ``False`` keeps them at the
            input images' size, to which mmseg enlarges the logits, and keeps each input image as
            ``guide`` in the metainfo, for :class:`~dsnet_mm.GuidedHead`, until the batch is freed:
            predictions do not contain it. Label maps are then padded in proportion to the images.

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
        self._size_before = self.size
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
        for sample in samples if training else ():
            self._pad_maps(sample, padded)
        guided = [sample for sample in samples if 'guide' in sample]
        for sample in guided:
            sample.set_metainfo(dict(guide=replace(sample.guide, padded=padded)))
        # Samples live on with their predictions, but the network's input does not.
        if guided:
            weakref.finalize(data['inputs'], _drop_guides, weakref.WeakSet(guided))
        return data

    def _pad_maps(self, sample: BaseDataElement, padded: Size) -> None:
        """Pads maps in proportion; mmseg has padded them by as many pixels as the image."""
        _, right, _, below = sample.padding_size
        for name in [name for name in MAPS if name in sample and (right or below)]:
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
            sample.set_metainfo(dict(guide=Guide(image, size_of(resized), size_of(resized))))
        return sample

    def _map_sizes(self, output_size: OutputSize) -> None:
        if self._size_before is not None:
            self.size = output_size(*self._size_before)

    def _rescale_ground_truth(self, sample: BaseDataElement, size_in: Size, size_out: Size) -> None:
        if self.resize_gt_sem_seg:
            super()._rescale_ground_truth(sample, size_in, size_out)


def _drop_guides(samples: weakref.WeakSet) -> None:
    for sample in samples:
        sample.pop('guide', None)

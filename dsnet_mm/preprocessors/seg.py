"""A resizer in front of any mmseg model."""
from typing import Any

from dsnet_mm.preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.size import Size, size_of

from mmengine.structures import BaseDataElement
from mmseg.models.data_preprocessor import SegDataPreProcessor


@MODELS.register_module()
class DownsizeSegDataPreProcessor(DownsizeMixin, SegDataPreProcessor):
    """mmseg's ``SegDataPreProcessor`` behind a resizer.

    One line over any mmseg config::

        model = dict(data_preprocessor=dict(
            type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.35))

    The arguments are those of :class:`~dsnet_mm.preprocessors.mixin.DownsizeMixin` and of
    ``SegDataPreProcessor``. Its ``size``, in training and in ``test_cfg``, is mapped to the resized
    image; without it and ``size_divisor`` a batch is padded to its largest image. For slide
    inference give the model's ``crop_size`` and ``stride`` in resized pixels.

    Args:
        resize_gt_sem_seg (bool): Resize the label maps with the images. ``False`` trains against
            labels at high resolution; mmseg then enlarges the logits to them. That needs resized
            images without padding.

    Raises:
        ValueError: In training, if both ``size`` and ``size_divisor`` are given, or if labels of
            another size than their image, such as those kept at high resolution, would meet a
            padded one.
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
        for sample in (training and data['data_samples']) or ():
            if (any(sample.padding_size) and 'gt_sem_seg' in sample
                    and size_of(sample.gt_sem_seg.data) != size_of(data['inputs'])):
                raise ValueError(
                    'labels of another size than the resized image need one without padding, but '
                    f'that of {tuple(sample.img_shape)} pixels is padded by {sample.padding_size} '
                    '(left, right, top, bottom), which would shift its labels: choose target_size, '
                    'size and size_divisor so that nothing is padded, or set '
                    'resize_gt_sem_seg=True and give labels of the size of the image')
        return data

    def _map_sizes(self, output_size: OutputSize) -> None:
        if self._unresized is not None:
            self.size = output_size(*self._unresized)

    def _rescale_ground_truth(self, sample: BaseDataElement, size_in: Size,
                              size_out: Size) -> None:
        if self.resize_gt_sem_seg:
            super()._rescale_ground_truth(sample, size_in, size_out)

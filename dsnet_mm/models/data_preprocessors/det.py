"""A resizer in front of any mmdet model."""
from typing import Any

from dsnet_mm.compat import correct_mmdet
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import MODELS
from dsnet_mm.resizers import OutputSize

from mmdet.models.data_preprocessors import (
    BatchFixedSizePad,
    BatchResize,
    BatchSyncRandomResize,
    DetDataPreprocessor,
)


@MODELS.register_module()
class DownsizeDetDataPreprocessor(DownsizeMixin, DetDataPreprocessor):
    """mmdet's ``DetDataPreprocessor`` behind a resizer.

    One line over any mmdet config::

        model = dict(data_preprocessor=dict(
            type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(160, 160)))

    Takes the arguments of :class:`~dsnet_mm.DownsizeMixin` and of ``DetDataPreprocessor``. The size
    of the batch augmentation ``BatchFixedSizePad`` is that of the input images; it is converted to
    that of the resized images.

    Raises:
        ValueError: If a batch augmentation would resize the batch again, or pads to a fixed size
            while only the shorter side of the images is fixed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        correct_mmdet()
        self._pads = []
        for augment in self.batch_augments or ():
            if isinstance(augment, BatchFixedSizePad):
                if self.output_size.short_edge is not None:
                    raise ValueError(
                        'BatchFixedSizePad pads images of any aspect ratio to one size, but with '
                        f'{self.output_size} their sizes differ: use scale or target_size')
                self._pads.append((augment, augment.size))
            elif isinstance(augment, (BatchResize, BatchSyncRandomResize)):
                raise ValueError(
                    f'the batch augmentation {type(augment).__name__} would resize the batch again '
                    f'after the resizer ({self.output_size}): set batch_augments=None in '
                    'data_preprocessor, and vary the size in the train pipeline instead '
                    "(dict(type='RandomResize', ...)) or with ratio_range")
        self._map_sizes(self.output_size)

    def _map_sizes(self, output_size: OutputSize) -> None:
        for pad, size in self._pads:
            pad.size = output_size(*size)

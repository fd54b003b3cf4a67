"""A hook that shows during training what the resizer does."""
from typing import Any

from dsnet_mm.engine.hooks import unwrapped
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import HOOKS
from dsnet_mm.resizers.ops.size import check_positive
from dsnet_mm.visualization.maps import (
    COLORMAPS,
    DETAIL_RANGE,
    image_to_rgb,
    map_to_rgb,
    resize,
    tile_detail,
)

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor


@HOOKS.register_module()
class DownsizeVisualizationHook(Hook):
    """Shows during training what the resizer does to the first images of the validation set::

        custom_hooks = [dict(type='dsnet_mm.DownsizeVisualizationHook', interval=5)]

    The visualizer's backends (files, TensorBoard, ...) get ``resizer_<i>_small``, the resized
    image, and for a ``ConvexResizer`` ``resizer_<i>_argmax``, ``_entropy`` and ``_distance``, the
    maps of :func:`coefficient_maps`; detail maps, if any, side by side as ``_detail``. Colours are
    the same at all steps, dark for 0 (grey in detail maps).

    Args:
        interval (int): Least number of epochs or iterations between two validations that are
            shown; the first one is.
        by_epoch (bool): Count epochs, or iterations, as an ``IterBasedTrainLoop`` needs.
        num_images (int): How many images to show.
        channel_order (str): ``'bgr'``, as mmcv loads images, or ``'rgb'``.

    Raises:
        ValueError: If an argument is out of range, the model's preprocessor has no resizer, or
            epochs are to be counted in an ``IterBasedTrainLoop``.
    """

    def __init__(self, interval: int = 1, by_epoch: bool = True, num_images: int = 1,
                 channel_order: str = 'bgr') -> None:
        check_positive(interval=interval, num_images=num_images)
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
        self.interval = interval
        self.by_epoch = by_epoch
        self.num_images = num_images
        self.channel_order = channel_order
        self._next: int | None = None  # only training counts
        self._left = 0

    def before_run(self, runner: Runner) -> None:
        _preprocessor(runner)

    def before_train(self, runner: Runner) -> None:
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError('DownsizeVisualizationHook counts epochs, but an IterBasedTrainLoop '
                             'has none: set by_epoch=False and interval in iterations')
        self._next = 0

    def before_val_epoch(self, runner: Runner) -> None:
        self._left = 0
        if self._next is not None and self._step(runner) >= self._next:
            self._left = self.num_images
            self._next = self._step(runner) + self.interval

    @master_only
    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: list | None = None) -> None:
        for image in data_batch['inputs'][:self._left]:
            prefix = f'resizer_{self.num_images - self._left}'
            for name, picture in self._pictures(_preprocessor(runner), image).items():
                runner.visualizer.add_image(f'{prefix}_{name}', picture, self._step(runner))
            self._left -= 1

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def _pictures(self, preprocessor: DownsizeMixin, image: Tensor) -> dict[str, np.ndarray]:
        resized = resize(preprocessor, preprocessor.cast_data(image))
        highest = dict(argmax=resized.neighbours - 1, entropy=1, distance=1)
        pictures = dict(small=image_to_rgb(resized.image, self.channel_order),
                        **{name: map_to_rgb(values, COLORMAPS[name], highest[name])
                           for name, values in resized.maps.items()})
        if resized.detail is not None:
            pictures['detail'] = map_to_rgb(tile_detail(resized.detail), COLORMAPS['detail'],
                                            DETAIL_RANGE, -DETAIL_RANGE)
        return pictures


def _preprocessor(runner: Runner) -> DownsizeMixin:
    preprocessor = getattr(unwrapped(runner), 'data_preprocessor', None)
    if not isinstance(preprocessor, DownsizeMixin):
        raise ValueError(
            "DownsizeVisualizationHook needs a resizer to show, but the model's data_preprocessor "
            f"is a {type(preprocessor).__name__}: set its type to "
            "'dsnet_mm.DownsizeDetDataPreprocessor' or 'dsnet_mm.DownsizeSegDataPreProcessor', "
            'or drop the hook')
    return preprocessor

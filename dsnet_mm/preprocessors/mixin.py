"""What the preprocessors for mmdet and mmseg share."""
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from dsnet_mm.preprocessors.checks import check_values
from dsnet_mm.preprocessors.samples import rescale_ground_truth, rescale_input_frame
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.run import run
from dsnet_mm.resizers.size import Size, check_images, size_of

import torch
from mmengine.model import initialize
from mmengine.structures import BaseDataElement
from torch import Tensor


class DownsizeMixin:
    """Resizes every image before the inherited preprocessor sees it; data samples follow.

    Put it in front of an ``ImgDataPreprocessor``::

        class MyPreprocessor(DownsizeMixin, BoxInstDataPreprocessor):
            pass

    Predictions come back in the coordinates of the original image, since ``scale_factor`` follows.

    Args:
        target_size (tuple[int, int], optional): Height and width of every resized image in pixels.
        scale (float | tuple[float, float], optional): Factor for both sides, or for height and
            width.
        short_edge (int, optional): Pixels of the shorter side; the ratio is kept. Exactly one of
            the three must be given, see :class:`~dsnet_mm.resizers.OutputSize`.
        resizer (dict, optional): Config of the resizer. Default ``dict(type='DownsizeNet')``; the
            bilinear baseline is ``dict(type='FixedResizer', mode='bilinear')``. An ``init_cfg`` in
            it is mmengine's, as in
            ``dict(type='Pretrained', checkpoint=..., prefix='data_preprocessor.resizer.')``.
        freeze (bool): Do not train the resizer.
        *args, **kwargs: Those of the inherited preprocessor. Sizes among them are those of the
            unresized images and are mapped as an image of that size would be.

    Raises:
        ValueError, TypeError: If the size is missing, ambiguous or wrong, or the resizer unknown.
    """

    cast_data: Callable[[Any], Any]  # of the preprocessor behind
    resizer: Any

    def __init__(self,
                 *args: Any,
                 target_size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None,
                 short_edge: int | None = None,
                 resizer: dict | None = None,
                 freeze: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.output_size = OutputSize(target_size, scale, short_edge)
        if resizer is not None and not isinstance(resizer, dict):
            raise TypeError("resizer must be a config, like dict(type='DownsizeNet'), "
                            f'got {resizer!r}')
        resizer = dict(resizer or {})
        self._resizer_init_cfg = resizer.pop('init_cfg', None)
        self._initialized = False
        # The model behind starts from the same random weights whatever the resizer.
        with torch.random.fork_rng(devices=[]):
            self.resizer = build_resizer(resizer)
        if freeze:
            self.resizer.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialises the resizer, by its ``init_cfg`` if it has one.

        A model's own ``init_cfg`` may have reached into the resizer before: it starts anew here.
        """
        devices = {p.device for p in self.resizer.parameters() if p.is_cuda}
        with torch.random.fork_rng(devices):
            if hasattr(self.resizer, 'reset_parameters'):
                self.resizer.reset_parameters()
            if self._resizer_init_cfg is not None:
                initialize(self.resizer, self._resizer_init_cfg)
        self._initialized = True

    def forward(self, data: dict, training: bool = False) -> dict:
        """Resizes images and data samples, then preprocesses them as inherited.

        Args:
            data (dict): ``inputs``, a list of images (C, H, W) of any sizes or a batch
                (N, C, H, W), unsigned 8-bit or floating-point; ``data_samples``, optional. Neither
                is changed.
            training (bool): Ground truth is rescaled in training only: test pipelines leave it in
                the coordinates of the original image, where metrics want it.

        Returns:
            dict: What the inherited preprocessor returns.

        Raises:
            TypeError, ValueError: If the images have the wrong type or shape, or values that are
                not finite; in training, if boxes have.
            RuntimeError: If the resizer's ``init_cfg`` was never applied before training.
        """
        if training and self._resizer_init_cfg is not None and not self._initialized:
            raise RuntimeError(
                "the resizer's init_cfg was never applied: call init_weights() of this "
                'preprocessor (models that wrap it in another one do not), or drop init_cfg and '
                'use load_from')
        check_values(data['inputs'], data.get('data_samples'), training)
        data = self.cast_data(data)
        images, samples = data['inputs'], data.get('data_samples')
        resized = self.resize(images)
        if samples is not None:
            if len(samples) != len(images):
                raise ValueError(f'{len(images)} images came with {len(samples)} data samples')
            samples = [self._rescale(*args, training) for args in zip(samples, images, resized)]
        return super().forward(  # type: ignore[misc]  # of the preprocessor behind
            {**data, 'inputs': resized, 'data_samples': samples}, training)

    def resize(self, images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Resizes images, those of equal size together; values keep their range.

        Args:
            images (Tensor | Sequence[Tensor]): As ``inputs`` of :meth:`forward`, on the
                preprocessor's device.

        Returns:
            Tensor | list[Tensor]: Floating-point images, as given: a batch or a list.

        Raises:
            TypeError, ValueError: If the images have the wrong type or shape.
        """
        if isinstance(images, Tensor):
            return self._resize_batch(images)
        groups = defaultdict(list)
        for index, image in enumerate(images):
            if not isinstance(image, Tensor) or image.dim() != 3:
                what = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
                raise ValueError(f'images must be (C, H, W) tensors, got {what}; videos '
                                 '(TrackDataPreprocessor) are not supported')
            groups[image.shape, image.dtype].append(index)
        resized: dict[int, Tensor] = {}
        for indices in groups.values():
            batch = torch.stack([images[i] for i in indices])
            resized.update(zip(indices, self._resize_batch(batch)))
        return [resized[i] for i in range(len(images))]

    def _resize_batch(self, images: Tensor) -> Tensor:
        check_images(images)
        return run(self.resizer, images, self.output_size(*images.shape[-2:]))

    def _rescale(self, sample: BaseDataElement, image: Tensor, resized: Tensor,
                 training: bool) -> BaseDataElement:
        size_in, size_out = size_of(image), size_of(resized)
        rescale_input_frame(sample, size_in, size_out)
        if training:
            self._rescale_ground_truth(sample, size_in, size_out)
        return sample

    def _rescale_ground_truth(self, sample: BaseDataElement, size_in: Size,
                              size_out: Size) -> None:
        rescale_ground_truth(sample, size_in, size_out)

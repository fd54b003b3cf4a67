"""The mixin that puts a resizer in front of any preprocessor."""
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from dsnet_mm.models.data_preprocessors.checks import check_values
from dsnet_mm.models.data_preprocessors.samples import rescale_ground_truth, rescale_input_frame
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.apply import apply_resizer
from dsnet_mm.resizers.ops.size import Size, size_of

import torch
from mmengine.dist import broadcast
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
        target_size, scale, short_edge: The size of the resized images, exactly one of the three, as
            in :class:`~dsnet_mm.resizers.OutputSize`.
        resizer (dict, optional): Config of the resizer. Default ``dict(type='DownsizeNetV2')``;
            the bilinear baseline is ``dict(type='FixedResizer', mode='bilinear')``. An ``init_cfg``
            in it is mmengine's, as in
            ``dict(type='Pretrained', checkpoint=..., prefix='data_preprocessor.resizer.')``.
        freeze (bool): Do not train the resizer.
        ratio_range (tuple[float, float], optional): Multi-scale training: the size is multiplied by
            a factor drawn from this range, as in mmcv's ``RandomResize``. Each training batch draws
            one, the same on all ranks; at test the size is the one given. So one resizer serves
            many ratios.
        *args, **kwargs: Those of the inherited preprocessor. Sizes among them are those of the
            input images and are mapped as an input image of that size would be.

    Raises:
        ValueError, TypeError: If the size or the range is missing, ambiguous or wrong, the
            resizer unknown, or an argument not one of the inherited preprocessor.
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
                 ratio_range: tuple[float, float] | None = None,
                 **kwargs: Any) -> None:
        _check_arguments(self, super().__init__, kwargs)
        super().__init__(*args, **kwargs)
        self.used = False  # by a forward, which CheckResizerHook looks at
        self.output_size = OutputSize(target_size, scale, short_edge)
        self.ratio_range = None if ratio_range is None else _check_range(ratio_range)
        if resizer is not None and not isinstance(resizer, dict):
            raise TypeError("resizer must be a config, like dict(type='DownsizeNetV2'), "
                            f'got {resizer!r}')
        resizer = dict(resizer or {})
        self._resizer_init_cfg = resizer.pop('init_cfg', None)
        self._initialized = False
        # The model behind starts from the same random weights whatever the resizer.
        with torch.random.fork_rng(devices=[]):
            self.resizer = build_resizer(resizer)
        if freeze:
            self.resizer.requires_grad_(False)
        self._learned = any(True for _ in self.resizer.parameters())

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
            RuntimeError: If the resizer's ``init_cfg`` was never applied before training, or FSDP
                has taken its weights.
        """
        if training and self._resizer_init_cfg is not None and not self._initialized:
            raise RuntimeError(
                "the resizer's init_cfg was never applied: call init_weights() of this "
                'preprocessor (models that wrap it in another one do not), or drop init_cfg and '
                'use load_from')
        # Set by FSDP, which gathers weights within the forward of the model only.
        if self._learned and getattr(self.resizer, '_is_fsdp_managed_module', False):
            raise RuntimeError(
                'FSDP has taken the weights of the resizer, which preprocesses outside the forward '
                'of the model: train with MMDistributedDataParallel (without model_wrapper_cfg)')
        self.used = True
        check_values(data['inputs'], data.get('data_samples'), training)
        data = self.cast_data(data)
        images, samples = data['inputs'], data.get('data_samples')
        output_size = self.output_size
        if training and self.ratio_range is not None:
            output_size = output_size.times(self._draw_ratio(self.ratio_range))
            self._map_sizes(output_size)
        resized = self.resize(images, output_size)
        if samples is not None:
            if len(samples) != len(images):
                raise ValueError(f'{len(images)} images came with {len(samples)} data samples')
            samples = [self._rescale(*args, training) for args in zip(samples, images, resized)]
        return super().forward(  # type: ignore[misc]  # of the preprocessor behind
            {**data, 'inputs': resized, 'data_samples': samples}, training)

    def resize(self, images: Tensor | Sequence[Tensor],
               output_size: OutputSize | None = None) -> Tensor | list[Tensor]:
        """Resizes images, those of equal size together; values keep their range.

        Args:
            images (Tensor | Sequence[Tensor]): As ``inputs`` of :meth:`forward`, on the
                preprocessor's device.
            output_size (OutputSize, optional): Another than the preprocessor's own.

        Returns:
            Tensor | list[Tensor]: Floating-point images, as given: a batch or a list.

        Raises:
            TypeError, ValueError: If the images have the wrong type or shape.
        """
        output_size = output_size or self.output_size
        if isinstance(images, Tensor):
            return self._resize_batch(images, output_size)
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
            resized.update(zip(indices, self._resize_batch(batch, output_size)))
        return [resized[i] for i in range(len(images))]

    def _resize_batch(self, images: Tensor, output_size: OutputSize) -> Tensor:
        return apply_resizer(self.resizer, images, output_size(*images.shape[-2:]))

    def _draw_ratio(self, ratio_range: tuple[float, float]) -> float:
        ratio = torch.empty(()).uniform_(*ratio_range)
        broadcast(ratio)  # ranks that wait for each other shall have equal work
        return float(ratio)

    def _map_sizes(self, output_size: OutputSize) -> None:
        """Maps the sizes that the inherited preprocessor has for the batch, if any."""

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


def _check_arguments(preprocessor: object, inherited: Callable, given: dict[str, Any]) -> None:
    known = inspect.signature(inherited).parameters
    unknown = [name for name in given if name not in known]
    if not unknown or any(p.kind == p.VAR_KEYWORD for p in known.values()):
        return
    kind = type(preprocessor).__name__
    if 'data_preprocessor' in unknown:
        raise TypeError(
            f'{kind} was put in the place of a preprocessor that wraps another one: set '
            f"model.data_preprocessor.data_preprocessor.type='dsnet_mm.{kind}', and its size there")
    behind = inherited.__qualname__.split('.')[0]
    raise TypeError(
        f'{kind} has no argument {", ".join(unknown)}, as the {behind} behind it has none. If they '
        "are of your config's own preprocessor, put the resizer in front of that one: "
        'class MyPreprocessor(DownsizeMixin, ThatPreprocessor): pass')


def _check_range(ratio_range: Sequence[float]) -> tuple[float, float]:
    if isinstance(ratio_range, (str, Real)) or len(ratio_range) != 2 or any(
            isinstance(r, bool) or not isinstance(r, Real) for r in ratio_range):
        raise TypeError(f'ratio_range must be two numbers (lowest, highest), got {ratio_range!r}')
    low, high = ratio_range
    if not 0 < low <= high < math.inf:
        raise ValueError('ratio_range must be (lowest, highest), positive and finite, got '
                         f'{ratio_range!r}')
    return low, high

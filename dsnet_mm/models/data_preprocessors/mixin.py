"""The mixin that puts a resizer in front of any preprocessor."""
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from dsnet_mm.models.data_preprocessors.checks import check_values
from dsnet_mm.models.data_preprocessors.samples import (
    check_scale_factor,
    rescale_ground_truth,
    rescale_input_frame,
)
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.apply import apply_resizer
from dsnet_mm.resizers.ops.graphs import is_exporting
from dsnet_mm.resizers.ops.size import Size, size_of

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast
from mmengine.model import initialize
from mmengine.structures import BaseDataElement
from torch import Tensor

_STD = 58.  # of photographs with values from 0 to 255, as ImageNet's


class DownsizeMixin:
    """Resizes every input image before the inherited preprocessor sees it; data samples follow.

    Put it in front of an ``ImgDataPreprocessor``::

        class MyPreprocessor(DownsizeMixin, BoxInstDataPreprocessor):
            pass

    Predictions come back in the coordinates of the original image: ``scale_factor`` is updated.

    Args:
        *args (Any): Those of the inherited preprocessor.
        target_size (tuple[int, int], optional): Height and width of the resized images in pixels.
            Give exactly one of this, ``scale`` and ``short_edge``, see :class:`OutputSize`.
        scale (float | tuple[float, float], optional): Factor, or factors of height and width.
        short_edge (int, optional): The resized images' shorter side in pixels.
        resizer (dict, optional): Config of the resizer. Default ``dict(type='DownsizeNetV2')``;
            the bilinear baseline is ``dict(type='FixedResizer', mode='bilinear')``. An ``init_cfg``
            in it is mmengine's, as in
            ``dict(type='Pretrained', checkpoint=..., prefix='data_preprocessor.resizer.')``.
        freeze (bool): Do not train the resizer.
        ratio_range (tuple[float, float], optional): Multi-scale training: each training batch
            multiplies the size by a factor drawn from this range, the same on all ranks.
        **kwargs (Any): Those of the inherited preprocessor; sizes among them are of input images.

    Raises:
        ValueError, TypeError: If the size or the range is missing, ambiguous or wrong, the resizer
            unknown, or an argument not one of the inherited preprocessor.
    """

    cast_data: Callable[[Any], Any]  # the inherited preprocessor's
    resizer: Any
    std: Tensor

    def __init__(self, *args: Any, target_size: Sequence[int] | None = None,
                 scale: float | Sequence[float] | None = None, short_edge: int | None = None,
                 resizer: dict | None = None, freeze: bool = False,
                 ratio_range: tuple[float, float] | None = None, **kwargs: Any) -> None:
        _check_arguments(self, super().__init__, kwargs)
        super().__init__(*args, **kwargs)
        self.used = False  # set by forward, read by CheckResizerHook
        self.output_size = OutputSize(target_size, scale, short_edge)
        self.ratio_range = None if ratio_range is None else _check_range(ratio_range)
        if resizer is not None and not isinstance(resizer, dict):
            raise TypeError("resizer must be a config, like dict(type='DownsizeNetV2'), "
                            f'got {resizer!r}')
        resizer = dict(resizer or {})
        self._resizer_init_cfg = resizer.pop('init_cfg', None)
        self._initialized = False
        # The model starts from the same random weights whatever the resizer.
        with torch.random.fork_rng(devices=[]):
            self.resizer = build_resizer(resizer)
        if freeze:
            self.resizer.requires_grad_(False)
        self._learned = any(True for _ in self.resizer.parameters())

    def init_weights(self) -> None:
        """Initialises the resizer anew: a model's own ``init_cfg`` may have reached into it."""
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
                (N, C, H, W), unsigned 8-bit or floating-point, and optionally ``data_samples``.
                Neither is changed.
            training (bool): Rescale the ground truth. At test it stays in the coordinates of the
                original image, as metrics need it.

        Raises:
            TypeError, ValueError: If the images have the wrong type or shape, or values that are
                not finite; in training also if boxes have such values; at test if a detector's
                sample lacks the ``scale_factor`` of an image that the pipeline has resized; with
                detail maps if floating-point images are not normalised here.
            RuntimeError: If the resizer's ``init_cfg`` was never applied before training, or FSDP
                has sharded its weights.
        """
        if training and self._resizer_init_cfg is not None and not self._initialized:
            raise RuntimeError(
                "the resizer's init_cfg was never applied: call init_weights() of this "
                'preprocessor (models that wrap it in another one do not), or drop init_cfg and '
                'use load_from')
        # FSDP sets it, and gathers weights only inside the model's forward.
        if self._learned and getattr(self.resizer, '_is_fsdp_managed_module', False):
            raise RuntimeError(
                "FSDP has sharded the resizer's weights, but the resizer runs outside the model's "
                'forward: train with MMDistributedDataParallel (without model_wrapper_cfg)')
        self.used = True
        check_values(data['inputs'], data.get('data_samples'), training)
        data = self.cast_data(data)
        images, samples = data['inputs'], data.get('data_samples')
        output_size = self.output_size
        if training and self.ratio_range is not None:
            output_size = output_size.times(self._draw_ratio(self.ratio_range))
            self._map_sizes(output_size)
        resized, detail = self.resize_with_detail(images, output_size)
        if detail is not None and not self._normalizes() and any(
                image.is_floating_point() for image in images):
            raise ValueError(
                'detail maps are made as large as the images, whose range is not known if they are '
                'floating-point and data_preprocessor does not normalise them: set mean and std '
                'there instead of Normalize in the pipeline, or leave out to_float32')
        if samples is not None:
            if len(samples) != len(images):
                raise ValueError(f'{len(images)} images came with {len(samples)} data samples')
            samples = [self._rescale(*args, training) for args in zip(samples, images, resized)]
        data = super().forward(  # type: ignore[misc]  # the inherited preprocessor's
            {**data, 'inputs': resized, 'data_samples': samples}, training)
        return {**data, 'inputs': self.with_detail(data['inputs'], detail)}

    def resize(self, images: Tensor | Sequence[Tensor],
               output_size: OutputSize | None = None) -> Tensor | list[Tensor]:
        """Resizes the ``inputs`` of :meth:`forward` to floating-point images in the same value
        range, by default to the preprocessor's own output size; detail maps are left out."""
        return self.resize_with_detail(images, output_size)[0]

    def resize_with_detail(self, images: Tensor | Sequence[Tensor],
                           output_size: OutputSize | None = None) -> tuple[Any, Any]:
        """The images of :meth:`resize`, and their detail maps in the same form: a batch, a list, or
        None of a resizer without any."""
        output_size = output_size or self.output_size
        if isinstance(images, Tensor):
            out = apply_resizer(self.resizer, images, output_size(*size_of(images)))
            channels = images.shape[1]
            return out[:, :channels], out[:, channels:] if out.shape[1] > channels else None
        groups = defaultdict(list)
        for index, image in enumerate(images):
            if not isinstance(image, Tensor) or image.dim() != 3:
                what = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
                raise ValueError(f'images must be (C, H, W) tensors, got {what}; videos '
                                 '(TrackDataPreprocessor) are not supported')
            groups[image.shape, image.dtype].append(index)
        resized: dict[int, Tensor] = {}
        maps: dict[int, Tensor] = {}
        for indices in groups.values():
            batch, detail = self.resize_with_detail(torch.stack([images[i] for i in indices]),
                                                    output_size)
            resized.update(zip(indices, batch))
            maps.update(zip(indices, () if detail is None else detail))
        return ([resized[i] for i in range(len(images))],
                [maps[i] for i in range(len(images))] if maps else None)

    def with_detail(self, inputs: Tensor, detail: Tensor | Sequence[Tensor] | None) -> Tensor:
        """Puts detail maps, each (D, h, w), behind the normalised and padded images (N, C, H, W).

        Raises:
            ValueError: If images are smaller than their maps.
        """
        if detail is None:
            return inputs
        height, width = size_of(inputs)

        def pad(maps: Tensor) -> Tensor:
            h, w = size_of(maps)
            if not is_exporting() and (h > height or w > width):
                raise ValueError(
                    f'the inherited preprocessor made the resized images smaller, {height}x{width} '
                    f'instead of {h}x{w} pixels, which detail maps cannot follow: remove its batch '
                    'augmentation, or detail_channels')
            return F.pad(maps, (0, width - w, 0, height - h))

        padded = pad(detail) if isinstance(detail, Tensor) else torch.stack([*map(pad, detail)])
        # To the order of the image: about 1 if it is normalised, otherwise its standard deviation.
        if not self._normalizes():
            padded = _STD * padded
        elif getattr(self.resizer, 'detail_scales', False):
            padded = padded * (_STD / self.std.mean())
        return torch.cat([inputs, padded], dim=1)

    def _normalizes(self) -> bool:
        return bool(getattr(self, '_enable_normalize', False))

    def _draw_ratio(self, ratio_range: tuple[float, float]) -> float:
        ratio = torch.empty(()).uniform_(*ratio_range)
        broadcast(ratio)  # ranks wait for each other: give them equal work
        return float(ratio)

    def _map_sizes(self, output_size: OutputSize) -> None:
        """Converts sizes of the inherited preprocessor from input to resized images, if any."""

    def _rescale(self, sample: BaseDataElement, image: Tensor, resized: Tensor,
                 training: bool) -> BaseDataElement:
        size_in, size_out = size_of(image), size_of(resized)
        if not training:
            check_scale_factor(sample)
        rescale_input_frame(sample, size_in, size_out)
        if training:
            self._rescale_ground_truth(sample, size_in, size_out)
        return sample

    def _rescale_ground_truth(self, sample: BaseDataElement, size_in: Size, size_out: Size) -> None:
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
    raise TypeError(
        f'{kind} has no argument {", ".join(unknown)}, nor has {inherited.__qualname__}(). If it '
        "belongs to your config's own preprocessor, put the resizer in front of that one: "
        'class MyPreprocessor(DownsizeMixin, ThatPreprocessor): pass')


def _check_range(ratio_range: Sequence[float]) -> tuple[float, float]:
    if isinstance(ratio_range, (str, Real)) or len(ratio_range) != 2 or any(
            isinstance(r, bool) or not isinstance(r, Real) for r in ratio_range):
        raise TypeError(f'ratio_range must be two numbers (lowest, highest), got {ratio_range!r}')
    low, high = ratio_range
    if not 0 < low <= high < math.inf:
        raise ValueError(f'ratio_range must be positive (lowest, highest), got {ratio_range!r}')
    return low, high

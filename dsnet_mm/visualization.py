"""What a resizer does, as pictures: the small image, and maps of learned coefficients."""
import math
from typing import Any

from dsnet_mm.hooks import unwrapped
from dsnet_mm.preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import HOOKS
from dsnet_mm.resizers import ConvexResizer, GuidedUpsampling
from dsnet_mm.resizers.size import Size, size_of

import matplotlib
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor

COLORMAPS = {'winner': 'turbo', 'entropy': 'viridis', 'distance': 'magma'}


@torch.no_grad()
def coefficient_maps(net: ConvexResizer, images: Tensor, size: Size) -> dict[str, Tensor]:
    """Three maps that say how a network weighs the K neighbours of each output pixel.

    Args:
        net (ConvexResizer): The network; its mode is left as it is.
        images (Tensor): (N, C, H, W) floating-point, as ``net`` takes them.
        size (tuple[int, int]): Height and width of the output in pixels.

    Returns:
        dict[str, Tensor]: Each (N, h, w). ``winner``, which neighbour weighs most, 0 to K - 1, row
        by row (the first of equals). ``entropy`` of the weights relative to log K: 0 where one
        neighbour is copied, 1 where all are averaged. ``distance``, the total variation distance
        to the weights of an untrained network: 0 where they are equal, 1 where they share none.

    Raises:
        TypeError, ValueError: As ``net.coefficients``.
    """
    return _maps(net.coefficients(images, size), net.prior(images, size))


@torch.no_grad()
def upsampling_maps(net: GuidedUpsampling, images: Tensor, size: Size) -> dict[str, Tensor]:
    """The maps of :func:`coefficient_maps` for the way back up: how each large pixel weighs the
    nine small ones around it.

    Args:
        net (GuidedUpsampling): The network.
        images (Tensor): (N, C, H, W) the large images, as ``net`` takes them.
        size (tuple[int, int]): Height and width of the small maps in pixels.

    Returns:
        dict[str, Tensor]: Each (N, H, W).

    Raises:
        TypeError, ValueError: As ``net.coefficients``.
    """
    small = net.logits.weight.new_zeros(len(images), 1, *size)
    return _maps(net.coefficients(small, images), net.prior(small, images))


def _maps(coefficients: Tensor, prior: Tensor) -> dict[str, Tensor]:
    return dict(
        winner=coefficients.argmax(dim=1),
        entropy=torch.special.entr(coefficients).sum(dim=1) / math.log(len(prior)),
        distance=(coefficients - prior).abs().sum(dim=1) / 2)


def image_to_rgb(image: Tensor, channel_order: str = 'bgr') -> np.ndarray:
    """An image for the eye.

    Args:
        image (Tensor): (1, H, W), gray, or (3, H, W), both from 0 to 255.
        channel_order (str): ``'bgr'``, as mmcv loads images whatever the model behind wants, or
            ``'rgb'``.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Raises:
        ValueError: If the image has another number of channels.
    """
    if image.dim() != 3 or len(image) not in (1, 3):
        raise ValueError('can show images (1, H, W) and (3, H, W) only, '
                         f'got shape {tuple(image.shape)}')
    if channel_order == 'bgr':
        image = image.flip(0)
    pixels = image.detach().float().round().clamp(0, 255).byte()
    return pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()


def map_to_rgb(values: Tensor, colormap: str, highest: float = 1.) -> np.ndarray:
    """Colours for a map (h, w) from 0 to ``highest``: an (h, w, 3) uint8 array."""
    colors = matplotlib.colormaps[colormap](values.float().cpu().numpy() / highest, bytes=True)
    return np.ascontiguousarray(colors[..., :3])


@HOOKS.register_module()
class DownsizeVisualizationHook(Hook):
    """Shows during training what the resizer does to the first images of the validation set.

    ::

        custom_hooks = [dict(type='dsnet_mm.DownsizeVisualizationHook', interval=5)]

    The visualizer's backends (files, TensorBoard, ...) get ``resizer_<i>_small``, the small image,
    and for a ``ConvexResizer`` ``resizer_<i>_winner``, ``_entropy`` and ``_distance``, the maps of
    :func:`coefficient_maps` in fixed colours, dark for 0, so that steps compare.

    Args:
        interval (int): Epochs or iterations from one showing to the next, at least: the first
            validation is shown, and then each that is this far from the last one shown.
        by_epoch (bool): Count epochs; ``False`` counts iterations, which an
            ``IterBasedTrainLoop`` needs.
        num_images (int): How many images to show.
        channel_order (str): ``'bgr'``, as mmcv loads images, or ``'rgb'``.

    Raises:
        ValueError: If an argument is out of range, if the model's preprocessor has no resizer, or
            if epochs are to be counted in a training that has none.
    """

    def __init__(self,
                 interval: int = 1,
                 by_epoch: bool = True,
                 num_images: int = 1,
                 channel_order: str = 'bgr') -> None:
        for name, value in (('interval', interval), ('num_images', num_images)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} must be a positive integer, got {value!r}')
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
    @torch.no_grad()
    def after_val_iter(self,
                       runner: Runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: list | None = None) -> None:
        for image in data_batch['inputs'][:self._left]:
            prefix = f'resizer_{self.num_images - self._left}'
            for name, picture in self._pictures(_preprocessor(runner), image).items():
                runner.visualizer.add_image(f'{prefix}_{name}', picture, self._step(runner))
            self._left -= 1

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def _pictures(self, preprocessor: DownsizeMixin, image: Tensor) -> dict[str, np.ndarray]:
        image = preprocessor.cast_data(image)
        [small] = preprocessor.resize([image])
        pictures = dict(small=image_to_rgb(small, self.channel_order))
        net = preprocessor.resizer
        if isinstance(net, ConvexResizer):
            images, size = image[None].to(small.dtype), size_of(small)
            highest = dict(winner=len(net.prior(images, size)) - 1)
            for name, values in coefficient_maps(net, images, size).items():
                pictures[name] = map_to_rgb(values[0], COLORMAPS[name], highest.get(name, 1))
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

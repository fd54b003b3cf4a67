"""A second first convolution, which reads the detail maps beside the resized image."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsnet_mm.registry import MODELS
from dsnet_mm.resizers.ops.graphs import is_compiling
from dsnet_mm.resizers.ops.size import check_positive

import mmengine.registry
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten


@MODELS.register_module()
def DetailBackbone(backbone: str | type, detail_channels: int = 8, in_channels: int = 3,
                   **kwargs: Any) -> nn.Module:
    """Any backbone, which also reads the detail maps of a resizer.

    Beside the preprocessor's line over any mmdet or mmseg config::

        model = dict(
            data_preprocessor=dict(
                type='dsnet_mm.DownsizeDetDataPreprocessor', scale=0.3,
                resizer=dict(detail_channels=8)),
            backbone=dict(type='dsnet_mm.DetailBackbone', backbone='ResNet'))

    The backbone is the one named, with its own arguments. Beside its first convolution stands a
    second one for the detail maps, whose output is added and which starts at zero: until it learns,
    the backbone is the plain one to the bit. Checkpoints of the plain backbone load, and its keys
    stay; the second convolution's key ends with ``detail.weight``.

    Args:
        backbone (str | type): ``type`` of the backbone, in the config's scope.
        detail_channels (int): The resizer's.
        in_channels (int): Channels of the image; the backbone gets it if it is not 3.
        **kwargs: Those of the backbone.

    Returns:
        nn.Module: The backbone.

    Raises:
        ValueError: If another layer than a convolution is the first to see the image.
    """
    check_positive(detail_channels=detail_channels, in_channels=in_channels)
    if in_channels != 3:
        kwargs['in_channels'] = in_channels
    net = mmengine.registry.MODELS.build(dict(type=backbone, **kwargs))
    size: Any = kwargs.get('img_size') or getattr(net, 'img_size', 128)
    return read_detail(net, detail_channels, in_channels, size)


class _MadeInPlace(nn.Module):
    """A module whose class was joined from others after it was built, but which can be pickled."""

    def __reduce__(self) -> tuple:
        kind = type(self)
        return _empty, ((kind, ) if kind is DetailConv2d else kind.__bases__), self.__dict__


def _empty(*bases: type[nn.Module]) -> nn.Module:
    kind = _joined(*bases) if len(bases) > 1 else bases[0]
    return kind.__new__(kind)


def _joined(*bases: type[nn.Module]) -> type[nn.Module]:
    return type(f'Detail{bases[1].__name__}', bases, {})


class ReadsDetail(_MadeInPlace):
    """A backbone with second convolutions, which learn where its own first stages are frozen."""

    def train(self, mode: bool = True) -> ReadsDetail:
        weights = [module.weight for module in self.modules()
                   if isinstance(module, SecondConvolution)]
        learn = [weight.requires_grad for weight in weights]
        super().train(mode)
        for weight, learns in zip(weights, learn):
            weight.requires_grad_(learns)
        return self


class DetailConv2d(_MadeInPlace, nn.Conv2d):
    """A first convolution with a second one beside it, for detail maps.

    It takes images (N, g * C, H, W), or images with detail maps (N, g * (C + D), H, W), whose
    channels a stem may have rearranged into g groups (space to depth).

    Attributes:
        detail (SecondConvolution): Starts at zero.
        image_channels (int): C.
    """
    detail: SecondConvolution
    image_channels: int

    @classmethod
    def of(cls, conv: nn.Conv2d, detail_channels: int, image_channels: int) -> None:
        """Makes a convolution one, in place."""
        kind = type(conv)
        detail = SecondConvolution(conv, conv.in_channels // image_channels * detail_channels)
        # Subclasses that pad by themselves, as mmcv's, stay what they are. mmengine finds layers to
        # initialise by the names of their bases.
        conv.__class__ = cls if kind is nn.Conv2d else _joined(cls, kind, nn.Conv2d)  # type: ignore[assignment]
        conv.image_channels, conv.detail = image_channels, detail  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        # As mmcv's fuse_conv_bn does, which scales the first convolution only.
        if name == 'bias' and value is not None and self.__dict__['_parameters'].get(name) is None:
            raise RuntimeError(
                'a convolution that reads detail maps cannot be fused with its normalisation, '
                'which would not scale its second convolution: leave out --fuse-conv-bn')
        super().__setattr__(name, value)

    def forward(self, inputs: Tensor) -> Tensor:
        given, image = inputs.shape[1], self.in_channels
        if given == image:
            if not is_compiling() and self.detail.weight.any():
                raise ValueError(
                    'the backbone has learned to read detail maps, but gets images without any: '
                    "set the resizer's detail_channels, as in training")
            return super().forward(inputs)
        groups = image // self.image_channels
        number = self.detail.weight.shape[1]
        if given != image + number:
            raise ValueError(
                f'the backbone reads {number // groups} detail maps, but gets '
                f'{given // groups - self.image_channels}: give resizer and backbone the same '
                'detail_channels')
        pixels, maps = inputs.unflatten(1, (groups, -1)).split(
            [self.image_channels, number // groups], dim=2)
        out = super().forward(pixels.flatten(1, 2))
        return out + self.detail(maps.flatten(1, 2), out.shape[-2:])


class SecondConvolution(nn.Module):
    """A convolution of detail maps at the places of a first one.

    It is no ``nn.Conv2d``, as what initialises a model's convolutions would undo its start at zero.

    Args:
        first (nn.Conv2d): The first one.
        in_channels (int): Number of maps.
    """

    def __init__(self, first: nn.Conv2d, in_channels: int) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        kernel = first.kernel_size
        # 3x3, or the first one's own kernel where 3x3 would leave out pixels or lie elsewhere.
        less = [(side - 3) // 2 for side in kernel]
        if not isinstance(first.padding, str) and max(first.stride) <= 2 and all(
                side % 2 and 0 <= lost <= pad
                for side, lost, pad in zip(kernel, less, first.padding)) and not any(
                    dilation > 1 for dilation in first.dilation):
            kernel = 3, 3
            self.padding = tuple(pad - lost for pad, lost in zip(first.padding, less))
        self.weight = nn.Parameter(
            first.weight.new_zeros(first.out_channels, in_channels, *kernel))

    def forward(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Args:
            maps (Tensor): (N, C, H, W).
            size (Sequence[int]): Height and width of the first convolution's output.
        """
        padding = self.padding
        if padding == (0, 0):  # the first one may pad by itself, as TensorFlow does
            for axis in (1, 0):
                extent = self.dilation[axis] * (self.weight.shape[2 + axis] - 1) + 1
                missing = (size[axis] - 1) * self.stride[axis] + extent - maps.shape[2 + axis]
                missing = max(missing, 0)
                pad = (missing // 2, missing - missing // 2)
                maps = F.pad(maps, (*pad, 0, 0) if axis else (0, 0, *pad))
        return F.conv2d(maps, self.weight, None, self.stride, padding, self.dilation)


def read_detail(net: nn.Module, detail_channels: int, in_channels: int = 3,
                size: int | Sequence[int] = 128) -> nn.Module:
    """Gives the first convolution of a network a second one, in place; each, where several branches
    begin at the image.

    Args:
        net (nn.Module): Takes images (N, in_channels, H, W).
        detail_channels (int): Number of detail maps.
        in_channels (int): Channels of the image.
        size (int | Sequence[int]): Height and width of an image to try it on, in pixels.

    Raises:
        ValueError: If another layer than a convolution is the first to see the image, or the maps
            would reach more than the second convolutions.
    """
    for conv in first_convolutions(net, in_channels, size):
        DetailConv2d.of(conv, detail_channels, in_channels)
    name = type(net).__name__
    net.__class__ = _joined(ReadsDetail, type(net))
    image = _random(in_channels, size)
    plain = _run(net, image)
    try:
        ours = _run(net, torch.cat([image, _random(detail_channels, size)], dim=1))
    except RuntimeError as error:
        raise ValueError(f'{name} cannot read detail maps: a further layer takes the image '
                         f'({error})') from error
    if not all(torch.allclose(*pair, equal_nan=True) for pair in zip(ours, plain)):
        raise ValueError(f'{name} cannot read detail maps: they would change what it makes of the '
                         'image, as in stems that mix the channels of image and maps')
    return net


def first_convolutions(net: nn.Module, in_channels: int = 3,
                       size: int | Sequence[int] = 128) -> list[nn.Conv2d]:
    """The convolutions that see the image first, found by what they receive.

    Raises:
        ValueError: If another layer with parameters sees the image first, or none does.
    """
    found: dict[nn.Conv2d, None] = {}  # in order

    def look(module: nn.Module, inputs: tuple) -> None:
        if not inputs or not isinstance(inputs[0], Tensor) or not _shows(inputs[0], image):
            return
        if (not isinstance(module, nn.Conv2d) or module.groups != 1
                or module.in_channels % in_channels):
            raise ValueError(f'{type(net).__name__} cannot read detail maps: the first layer that '
                             f'sees the image is {module}, not a convolution of its channels')
        found[module] = None

    handles = [module.register_forward_pre_hook(look) for module in net.modules()
               if module._parameters and not module._modules]
    image = _random(in_channels, size)
    try:
        _run(net, image)
    except RuntimeError as error:
        raise ValueError(f'{type(net).__name__} cannot read detail maps: it fails on an image '
                         f'{tuple(image.shape)} ({error})') from error
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError(f'{type(net).__name__} cannot read detail maps: no layer sees the image '
                         'as it is')
    return list(found)


def _random(channels: int, size: int | Sequence[int]) -> Tensor:
    height, width = (size, size) if isinstance(size, int) else size
    with torch.random.fork_rng(devices=[]):
        return torch.rand(1, channels, height, width)


def _run(net: nn.Module, image: Tensor) -> list[Tensor]:
    """The outputs in evaluation mode."""
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            return [value for value in tree_flatten(net(image))[0] if isinstance(value, Tensor)]
    finally:
        net.train(training)


def _shows(values: Tensor, image: Tensor) -> bool:
    """Whether values are pixels of an image, padded or rearranged."""
    some = values.flatten()[:: max(1, values.numel() // 1000)]
    return bool(some.any()) and bool(torch.isin(some[some != 0], image).all())

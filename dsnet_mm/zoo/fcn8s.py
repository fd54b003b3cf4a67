"""FCN-8s (Long, Shelhamer and Darrell, "Fully Convolutional Networks", CVPR 2015) on VGG."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.registry import MODELS
from dsnet_mm.zoo.vgg import VGG

import torch
from mmengine.model import Sequential
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn


@MODELS.register_module()
class FCNVGG(VGG):
    """The VGG of FCN-8s, which pads the image by 100 pixels, so that fc6 (7x7) fits images of any
    size, and returns its maps after pooling, which rounds sizes up.

    Args:
        **kwargs (Any): Those of :class:`~dsnet_mm.zoo.vgg.VGG`, except ``out_indices``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(out_indices=(2, 3, 4), **kwargs)
        self.features[0].padding = (100, 100)
        for i in self.pools:
            self.features[i].ceil_mode = True
        self.out_layers = self.pools[2:]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the images, pool3, pool4 and pool5 (N, C_i, H_i, W_i)."""
        return x, *super().forward(x)


@MODELS.register_module()
class FCN8sHead(BaseDecodeHead):
    """Scores fc7, pool4 and pool3, and sums them from coarse to fine (Sections 3.3 and 4.2).

    All scores start at zero and all deconvolutions at bilinear upsampling, where the last one stays
    (Section 4.3).

    Args:
        in_channels (Sequence[int]): Channels of the outputs of :class:`FCNVGG`: image, pool3, pool4
            and pool5.
        channels (int): Channels of fc6 and fc7.
        num_classes (int): Number of classes.
        skip_scales (tuple[float, float]): Factors on pool3 and pool4 before they are scored. By
            default those of the authors' all-at-once training, from pretrained weights.
        dropout_ratio (float): Probability of the dropouts after fc6 and fc7.
        pretrained (str, optional): Checkpoint of a torchvision VGG, such as
            ``torchvision://vgg16``, to initialise fc6 and fc7. By default Kaiming's initialisation.
        **kwargs (Any): Those of ``BaseDecodeHead``.
    """

    def __init__(self, in_channels: Sequence[int] = (3, 256, 512, 512), channels: int = 4096, *,
                 num_classes: int, skip_scales: tuple[float, float] = (0.0001, 0.01),
                 dropout_ratio: float = 0.5, pretrained: str | None = None, **kwargs: Any) -> None:
        zero = [dict(name=name) for name in ('conv_seg', 'score_pool3', 'score_pool4')]
        super().__init__(
            in_channels, channels, num_classes=num_classes, dropout_ratio=dropout_ratio,
            in_index=(0, 1, 2, 3), input_transform='multiple_select',
            init_cfg=dict(type='Constant', val=0, override=zero), **kwargs)
        _, pool3, pool4, pool5 = in_channels
        self.skip_scales = skip_scales
        self.fc = Sequential(  # fc6 and fc7, named as torchvision's classifier
            LinearAsConv2d(pool5, channels, 7), nn.ReLU(inplace=True), nn.Dropout(dropout_ratio),
            LinearAsConv2d(channels, channels, 1), nn.ReLU(inplace=True),
            init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='classifier.')
            if pretrained else dict(type='Kaiming', layer='LinearAsConv2d'))
        self.dropout = nn.Dropout(dropout_ratio)  # the inherited one drops whole channels
        self.score_pool3 = nn.Conv2d(pool3, self.out_channels, 1)
        self.score_pool4 = nn.Conv2d(pool4, self.out_channels, 1)
        self.upsample_fc7 = BilinearDeconv(self.out_channels, 2)
        self.upsample_pool4 = BilinearDeconv(self.out_channels, 2)
        self.upsample_pool3 = BilinearDeconv(self.out_channels, 8).requires_grad_(False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The outputs of :class:`FCNVGG` to logits (N, classes, H, W) of the image's size."""
        image, pool3, pool4, pool5 = self._transform_inputs(inputs)
        scale3, scale4 = self.skip_scales
        # Each offset aligns the centres of the receptive fields.
        score = self.upsample_fc7(self.cls_seg(self.fc(pool5)))
        score = score + _crop(self.score_pool4(scale4 * pool4), 5, score)
        score = self.upsample_pool4(score)
        score = score + _crop(self.score_pool3(scale3 * pool3), 9, score)
        return _crop(self.upsample_pool3(score), 31, image)


class LinearAsConv2d(nn.Conv2d):
    """A convolution that also loads the weights of a linear layer on the flattened window."""

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        weight = state_dict.get(f'{prefix}weight')
        if weight is not None and weight.shape == self.weight.flatten(1).shape:
            state_dict[f'{prefix}weight'] = weight.view_as(self.weight)
        super()._load_from_state_dict(state_dict, prefix, *args)


class BilinearDeconv(nn.ConvTranspose2d):
    """Upsamples every channel, initially bilinearly; n pixels become ``stride * (n + 1)``."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 2 * stride, stride, bias=False)

    def reset_parameters(self) -> None:
        """Sets the bilinear weights."""
        stride = self.stride[0]
        taps = 1 - (torch.arange(2 * stride) + 0.5 - stride).abs() / stride
        with torch.no_grad():
            channels = torch.eye(self.in_channels)[..., None, None]
            self.weight.copy_(channels * taps[:, None] * taps)


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return x[..., offset:offset + height, offset:offset + width]

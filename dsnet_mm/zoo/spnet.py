"""SPNet (Hou et al., "Strip Pooling: Rethinking Spatial Pooling for Scene Parsing", CVPR 2020)."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.registry import MODELS

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.backbones.resnet import ResNetV1c
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import ResLayer
from torch import Tensor, nn


class Strips(nn.Module):
    """Averages whole rows and whole columns, convolves both along their length and sums them."""

    def __init__(self, channels: int, norm_cfg: dict | None) -> None:
        super().__init__()
        options = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.rows = ConvModule(channels, channels, (3, 1), padding=(1, 0), **options)
        self.columns = ConvModule(channels, channels, (1, 3), padding=(0, 1), **options)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True)
        return F.relu(self.rows(rows) + self.columns(columns))


@MODELS.register_module()
class StripPooling(nn.Module):
    """The strip pooling module: weighs every position by its row and its column (Section 3.1).

    Args:
        in_channels (int): Channels of the input and the output.
        norm_cfg (dict, optional): Config of the norm layers.
    """

    def __init__(self, in_channels: int, norm_cfg: dict | None = None) -> None:
        super().__init__()
        self.strips = Strips(in_channels, norm_cfg)
        self.weigh = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x * self.weigh(self.strips(x)).sigmoid()


class MixedPooling(nn.Module):
    """The mixed pooling module: context from square windows and from strips (Section 3.2)."""

    def __init__(self, channels: int, pool_sizes: Sequence[int], norm_cfg: dict | None) -> None:
        super().__init__()
        width = channels // 4

        def conv(n_in: int, n_out: int, kernel_size: int, act: bool = True) -> ConvModule:
            return ConvModule(n_in, n_out, kernel_size, padding=kernel_size // 2,
                              norm_cfg=norm_cfg, act_cfg=dict(type='ReLU') if act else None)

        self.short_in = conv(channels, width, 1)
        self.windows = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), conv(width, width, 3, act=False))
            for size in pool_sizes)
        self.local = conv(width, width, 3, act=False)
        self.short_out = conv(width, width, 3)
        self.long_in = conv(channels, width, 1)
        self.strips = Strips(width, norm_cfg)
        self.long_out = conv(width, width, 3)
        self.fuse = conv(2 * width, channels, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        short = self.short_in(x)
        windows = sum(
            F.interpolate(window(short), x.shape[-2:], mode='bilinear', align_corners=True)
            for window in self.windows)
        short = self.short_out(F.relu(self.local(short) + windows))
        long = self.long_out(self.strips(self.long_in(x)))
        return F.relu(x + self.fuse(torch.cat([short, long], 1)))


@MODELS.register_module()
class SPNetResNet(ResNetV1c):
    """mmseg's ResNet with strip pooling after the 3x3 convolutions of the last block of the first
    three stages and of all blocks of the fourth (Section 3.3).

    Args:
        depth (int): 50, 101 or 152.
        stem_channels (int): Channels of the stem; its first two convolutions have half as many.
        **kwargs (Any): Those of ``ResNetV1c``.

    Raises:
        KeyError: If there is no ResNet of this depth with bottlenecks.
    """

    arch_settings = {depth: ResNetV1c.arch_settings[depth] for depth in (50, 101, 152)}

    def __init__(self, depth: int = 50, stem_channels: int = 128, **kwargs: Any) -> None:
        # With an empty list the blocks can take a plugin, but have none yet.
        super().__init__(depth=depth, stem_channels=stem_channels, plugins=[], **kwargs)

    def make_res_layer(self, **kwargs: Any) -> ResLayer:
        """Builds the next stage."""
        stage = super().make_res_layer(**kwargs)
        strip_pooling = dict(type=StripPooling, norm_cfg=self.norm_cfg)
        for block in stage if len(self.res_layers) == 3 else [stage[-1]]:
            block.after_conv2_plugin_names = block.make_block_plugins(block.planes, [strip_pooling])
        return stage


@MODELS.register_module()
class SPNetHead(BaseDecodeHead):
    """Two mixed pooling modules between two convolutions, then the classifier (Section 3.3).

    Args:
        in_channels (int): Channels of the input; the mixed pooling modules work on half as many.
        channels (int): Channels before the classifier.
        pool_sizes (Sequence[int]): Sides of the maps that the mixed pooling modules pool to.
        **kwargs (Any): Those of ``BaseDecodeHead``. SPNet has ``align_corners=True``.
    """

    def __init__(self, in_channels: int = 2048, channels: int = 512, *,
                 pool_sizes: Sequence[int] = (20, 12), **kwargs: Any) -> None:
        super().__init__(in_channels, channels, **kwargs)
        width = in_channels // 2
        self.layers = nn.Sequential(
            ConvModule(in_channels, width, 1, norm_cfg=self.norm_cfg),
            MixedPooling(width, pool_sizes, self.norm_cfg),
            MixedPooling(width, pool_sizes, self.norm_cfg),
            ConvModule(width, channels, 3, padding=1, norm_cfg=self.norm_cfg))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The backbone's maps (N, C_i, H_i, W_i) to logits (N, classes, H, W) of the last size."""
        return self.cls_seg(self.layers(self._transform_inputs(inputs)))

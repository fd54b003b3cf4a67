"""Light-Head R-CNN (Li et al., 2017) for mmdet's ``TwoStageDetector`` and ``StandardRoIHead``."""
from typing import Any

from dsnet_mm.registry import MODELS

import torch
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign


class LargeSeparableConv(BaseModule):
    """Two paths of a k x 1 and a 1 x k convolution, in either order, summed (Section 3.2)."""

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int,
                 kernel_size: int = 15, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg or dict(type='Normal', layer='Conv2d', std=0.01))
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size={kernel_size} is even: use an odd one')
        half = kernel_size // 2
        column: dict[str, Any] = dict(kernel_size=(kernel_size, 1), padding=(half, 0))
        row: dict[str, Any] = dict(kernel_size=(1, kernel_size), padding=(0, half))

        def path(first: dict[str, Any], second: dict[str, Any]) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(in_channels, mid_channels, **first),
                                 nn.Conv2d(mid_channels, out_channels, **second))

        self.column_row = path(column, row)
        self.row_column = path(row, column)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, H, W)."""
        return self.column_row(x) + self.row_column(x)


@MODELS.register_module()
class LightHeadRoIExtractor(BaseRoIExtractor):
    """Thin maps by a large separable convolution, then torchvision's position-sensitive RoI align.

    The convolution is here because mmdet's RPN gets the backbone's map. torchvision takes the mean
    of a cell's samples and shifts boxes by half a cell; the authors take the maximum, unshifted.

    Args:
        in_channels (int): Channels of the feature map.
        featmap_strides (list[int]): The stride of the only feature map in pixels.
        mid_channels (int): Channels between the separable convolutions, in the paper 256 or 64.
        out_channels (int): Channels of a pooled RoI.
        kernel_size (int): Length of the separable convolutions, odd.
        output_size (int): Side of a pooled RoI in cells.
        sampling_ratio (int): Samples per cell and axis.
        init_cfg (dict, optional): Of the separable convolution, by default the authors'.

    Raises:
        ValueError: If there are several strides, or the kernel is even.
    """

    def __init__(self, in_channels: int, featmap_strides: list[int], mid_channels: int = 256,
                 out_channels: int = 10, kernel_size: int = 15, output_size: int = 7,
                 sampling_ratio: int = 2, init_cfg: dict | None = None) -> None:
        if len(featmap_strides) != 1:
            raise ValueError(f'featmap_strides={featmap_strides}: Light-Head pools from one level')
        super().__init__(
            dict(type=PSRoIAlign, output_size=output_size, sampling_ratio=sampling_ratio),
            out_channels, featmap_strides)
        self.separable = LargeSeparableConv(
            in_channels, mid_channels, out_channels * output_size ** 2, kernel_size, init_cfg)

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor,
                roi_scale_factor: float | None = None) -> Tensor:
        """One map (N, C, H, W) and RoIs (K, 5) to features (K, out_channels, size, size)."""
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        thin = self.separable(feats[0]).relu()
        return self.roi_layers[0](thin, rois.type_as(thin))


@MODELS.register_module()
class LightHeadBBoxHead(ConvFCBBoxHead):
    """One wide layer, then class and box, trained on the hardest RoIs of each image.

    These have the largest sum of classification and box loss (online hard example mining, Section
    3.4); mmdet's ``OHEMSampler`` ranks by the classification loss alone, positives and negatives
    apart. The sampler must pass on all proposals. The logged accuracy is that of the hardest RoIs.

    Args:
        num_hard (int): Number of RoIs of an image to train on.
        **kwargs (Any): Those of ``ConvFCBBoxHead``; here some default to the paper's.
    """

    def __init__(self, num_hard: int = 256, num_shared_fcs: int = 1, fc_out_channels: int = 2048,
                 in_channels: int = 10, reg_class_agnostic: bool = True, **kwargs: Any) -> None:
        super().__init__(
            num_shared_fcs=num_shared_fcs, fc_out_channels=fc_out_channels,
            in_channels=in_channels, reg_class_agnostic=reg_class_agnostic, **kwargs)
        self.num_hard = num_hard

    def loss(self, cls_score: Tensor, bbox_pred: Tensor, rois: Tensor, labels: Tensor,
             label_weights: Tensor, bbox_targets: Tensor, bbox_weights: Tensor,
             reduction_override: str | None = None) -> dict:
        """The loss of the hardest RoIs; arguments and result as in ``BBoxHead.loss``."""
        each = [cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, bbox_weights]
        if len(rois) > self.num_hard:
            with torch.no_grad():
                hard = self._hardest(*each)
            each = [value[hard] for value in each]
        return super().loss(*each, reduction_override=reduction_override)

    def _hardest(self, cls_score: Tensor, bbox_pred: Tensor, rois: Tensor, labels: Tensor,
                 *targets: Tensor) -> Tensor:
        losses = super().loss(cls_score, bbox_pred, rois, labels, *targets,
                              reduction_override='none')
        hardness = losses['loss_cls'].clone()
        positive = (labels >= 0) & (labels < self.num_classes)
        if positive.any():
            hardness[positive] += losses['loss_bbox'].flatten(1).sum(1)
        order = hardness.argsort(descending=True)
        images = rois[order, 0]
        return torch.cat([order[images == i][:self.num_hard] for i in images.unique()])

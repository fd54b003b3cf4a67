"""RefineDet (Zhang et al., "Single-Shot Refinement Neural Network ...", CVPR 2018)."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.registry import MODELS
from dsnet_mm.zoo.vgg import VGG

import torch
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import SSDHead
from mmdet.models.necks.ssd_neck import L2Norm, SSDNeck
from mmdet.models.utils import multi_apply
from mmdet.utils import InstanceList, OptConfigType, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn


@MODELS.register_module()
class RefineDetVGG(VGG):
    """VGG with fc6 and fc7 as convolutions; returns conv4_3, conv5_3 and fc7.

    The weights of mmdet's ``SSDVGG`` load (``open-mmlab://vgg16_caffe``). Pooling rounds sizes up,
    as in Caffe, so that every map is at most twice as large as the next one.

    Args:
        fc_channels (int): Channels of fc6 and fc7. The other arguments are those of ``VGG``.
    """

    def __init__(self, depth: int = 16, base_channels: int = 64, fc_channels: int = 1024,
                 with_bn: bool = False, init_cfg: dict | list | None = None) -> None:
        super().__init__(depth, base_channels, with_bn, out_indices=(3, 4), init_cfg=init_cfg)
        for pool in self.pools:
            self.features[pool].ceil_mode = True
        for conv in (nn.Conv2d(8 * base_channels, fc_channels, 3, padding=3, dilation=3),
                     nn.Conv2d(fc_channels, fc_channels, 1)):
            norm = [nn.BatchNorm2d(fc_channels)] if with_bn else []
            self.features.extend([conv, *norm, nn.ReLU(inplace=True)])
        self.out_layers.append(len(self.features) - 1)


@MODELS.register_module()
class RefineDetNeck(SSDNeck):
    """conv6 and the transfer connection blocks (Section 3.2).

    Args:
        in_channels (Sequence[int]): Channels of the backbone's maps, highest resolution first.
        extra_channels (int): Channels of the additional map, conv6_2.
        feat_channels (int): Channels of the transferred maps.
        l2_norm_scales (Sequence[float]): Initial scales of the L2 norms of the first maps.
        norm_cfg (dict, optional): Add normalisation, to train from random weights.

    Raises:
        ValueError: If there are more scales than maps, or none.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 512, 1024), extra_channels: int = 512,
                 feat_channels: int = 256, l2_norm_scales: Sequence[float] = (10., 8.),
                 norm_cfg: OptConfigType = None) -> None:
        channels = (*in_channels, extra_channels)
        super().__init__(channels[:-1], channels, level_strides=(2, ), level_paddings=(1, ),
                         l2_norm_scale=None, norm_cfg=norm_cfg)
        if not 0 < len(l2_norm_scales) <= len(in_channels):
            raise ValueError(f'l2_norm_scales={l2_norm_scales!r}: give 1 to '
                             f'{len(in_channels)} scales, for the first of the maps')
        norms = [L2Norm(width, scale) for width, scale in zip(channels, l2_norm_scales)]
        self.l2_norms = nn.ModuleList(norms)
        for norm in norms:  # L2Norm leaves its weight uninitialised
            nn.init.constant_(norm.weight, norm.scale)

        def conv(width: int, act_cfg: OptConfigType) -> ConvModule:
            return ConvModule(width, feat_channels, 3, padding=1, norm_cfg=norm_cfg,
                              act_cfg=act_cfg)

        relu = dict(type='ReLU')
        self.laterals = nn.ModuleList(
            nn.Sequential(conv(width, relu), conv(feat_channels, None)) for width in channels)
        self.upsamples = nn.ModuleList(
            nn.ConvTranspose2d(feat_channels, feat_channels, 2, stride=2) for _ in in_channels)
        self.outputs = nn.ModuleList(conv(feat_channels, relu) for _ in channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The backbone's L maps (N, C_i, H_i, W_i), highest resolution first, to L + 1 maps to
        refine anchors on and L + 1 transferred maps to detect objects on."""
        normed = [norm(x) for norm, x in zip(self.l2_norms, inputs)]
        sources = super().forward((*normed, *inputs[len(normed):]))
        top = self.laterals[-1](sources[-1])
        transferred = [self.outputs[-1](top.relu())]
        for i in reversed(range(len(inputs))):
            lateral = self.laterals[i](sources[i])
            height, width = lateral.shape[-2:]
            above = self.upsamples[i](transferred[0])[..., :height, :width]
            transferred.insert(0, self.outputs[i]((lateral + above).relu()))
        return (*sources, *transferred)


@MODELS.register_module()
class RefineDetHead(SSDHead):
    """RefineDet's two modules over the same anchors (Sections 3.1 to 3.4).

    The anchor refinement module, an ``SSDHead`` of one class, separates objects from background and
    refines every anchor; the detection module, this head, starts from the refined anchors. Anchors
    of low objectness are no negatives in training and no detections at test. There, ``nms_pre``
    counts (anchor, class) pairs over all levels, in other heads of mmdet those of a level.

    Args:
        num_classes (int): Number of classes without background.
        in_channels (Sequence[int]): Channels of the transferred maps.
        arm_in_channels (Sequence[int]): Channels of the maps to refine anchors on.
        objectness_thr (float): Anchors with a smaller objectness are background.
        **kwargs (Any): Those of ``SSDHead``, for both modules. By default anchors and variances are
            the paper's: sizes four times the strides 8 to 64, ratios 1/2, 1 and 2.

    Raises:
        ValueError: If the numbers of levels differ or the threshold is no probability.
    """

    loss_cls = None  # SSDHead.predict reads it, but SSDHead does not set it

    def __init__(self, num_classes: int, in_channels: Sequence[int] = (256, 256, 256, 256),
                 arm_in_channels: Sequence[int] = (512, 512, 1024, 512),
                 objectness_thr: float = 0.01, **kwargs: Any) -> None:
        anchors = dict(type='AnchorGenerator', strides=[8, 16, 32, 64], ratios=[0.5, 1.0, 2.0],
                       scales=[4], center_offset=0.5)
        coder = dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2])
        both = dict(dict(anchor_generator=anchors, bbox_coder=coder), **kwargs)
        super().__init__(num_classes, in_channels, **both)
        self.arm = SSDHead(1, arm_in_channels, **both)
        levels = len(in_channels), len(arm_in_channels), self.prior_generator.num_levels
        if len(set(levels)) > 1:
            raise ValueError('in_channels, arm_in_channels and the anchor generator have {}, {} and'
                             ' {} levels: give as many to each'.format(*levels))
        if not 0 <= objectness_thr < 1:
            raise ValueError(f'objectness_thr={objectness_thr!r}: use a number from 0 to below 1')
        self.objectness_thr = objectness_thr

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """The neck's maps (N, C_i, H_i, W_i) to class scores (N, A * (num_classes + 1), H_i, W_i)
        and deltas (N, A * 4, H_i, W_i) of the detection at A anchors a cell, then scores
        (N, A * 2, H_i, W_i) and deltas of the refinement, one of each for every level."""
        levels = self.prior_generator.num_levels
        return (*super().forward(x[levels:]), *self.arm(x[:levels]))

    def refine(self, arm_cls_scores: list[Tensor],
               arm_bbox_preds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The refined anchors of all levels, (N, A, 4) corners in pixels, not clipped, and their
        objectness (N, A), without gradients."""
        deltas = _flatten(arm_bbox_preds, 4).detach()
        anchors = torch.cat(self.prior_generator.grid_priors(
            [level.shape[-2:] for level in arm_bbox_preds], device=deltas.device))
        refined = self.bbox_coder.decode(anchors.repeat(len(deltas), 1), deltas.reshape(-1, 4))
        objectness = _flatten(arm_cls_scores, 2).detach().softmax(-1)[..., 0]
        return refined.reshape(deltas.shape), objectness

    def loss_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor],
                     arm_cls_scores: list[Tensor], arm_bbox_preds: list[Tensor],
                     batch_gt_instances: InstanceList, batch_img_metas: list[dict],
                     batch_gt_instances_ignore: OptInstanceList = None) -> dict[str, list[Tensor]]:
        """The losses of both modules, each divided by the number of its positive anchors: one value
        for every image, to be summed. Boxes without area are ignored."""
        anchors, flags = self.get_anchors(
            [level.shape[-2:] for level in cls_scores], batch_img_metas, cls_scores[0].device)
        flags = [[torch.cat(levels)] for levels in flags]
        # The deltas to a box without area are not finite.
        batch_gt_instances = [
            gt[(gt.bboxes[:, 2:] > gt.bboxes[:, :2]).all(dim=1)] for gt in batch_gt_instances]
        objects = [InstanceData(bboxes=gt.bboxes, labels=torch.zeros_like(gt.labels))
                   for gt in batch_gt_instances]
        refined, objectness = self.refine(arm_cls_scores, arm_bbox_preds)
        arm_loss_cls, arm_loss_bbox = _module_loss(
            self.arm, arm_cls_scores, arm_bbox_preds, [torch.cat(levels) for levels in anchors],
            torch.ones_like(objectness, dtype=torch.bool), flags, objects, batch_img_metas,
            batch_gt_instances_ignore)
        loss_cls, loss_bbox = _module_loss(
            self, cls_scores, bbox_preds, refined, objectness >= self.objectness_thr, flags,
            batch_gt_instances, batch_img_metas, batch_gt_instances_ignore)
        return dict(arm_loss_cls=arm_loss_cls, arm_loss_bbox=arm_loss_bbox, loss_cls=loss_cls,
                    loss_bbox=loss_bbox)

    def predict_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor],
                        arm_cls_scores: list[Tensor], arm_bbox_preds: list[Tensor],
                        batch_img_metas: list[dict], cfg: OptConfigType = None,
                        rescale: bool = False, with_nms: bool = True) -> InstanceList:
        """The detections of each image, from its refined anchors; the other arguments and the
        result as in ``BaseDenseHead``."""
        refined, objectness = self.refine(arm_cls_scores, arm_bbox_preds)
        scores = _flatten(cls_scores, self.cls_out_channels).detach()
        deltas = _flatten(bbox_preds, 4).detach()
        kept = objectness >= self.objectness_thr
        return [self._predict_by_feat_single(  # the kept anchors as one level, a map of one column
            [scores[i, keep].T.unsqueeze(-1)], [deltas[i, keep].T.unsqueeze(-1)], [None],
            [refined[i, keep]], img_meta, cfg, rescale, with_nms)
            for i, (keep, img_meta) in enumerate(zip(kept, batch_img_metas))]


def _flatten(levels: list[Tensor], width: int) -> Tensor:
    """Maps (N, A * width, H_i, W_i) of all levels to (N, sum of A * H_i * W_i, width)."""
    return torch.cat([level.permute(0, 2, 3, 1).reshape(len(level), -1, width)
                      for level in levels], 1)


def _module_loss(head: SSDHead, cls_scores: list[Tensor], bbox_preds: list[Tensor],
                 anchors: Sequence[Tensor] | Tensor, negatives: Tensor, flags: list[list[Tensor]],
                 *targets: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Classification and box losses of one module; ``negatives`` (N, A) are the anchors that may
    serve as negatives."""
    # Counted here: mmdet counts one positive in an image without any.
    (labels, ), (weights, ), (box_targets, ), (box_weights, ), _ = head.get_targets(
        [[image] for image in anchors], flags, *targets)
    positives = labels < head.num_classes
    return multi_apply(
        head.loss_by_feat_single, _flatten(cls_scores, head.cls_out_channels),
        _flatten(bbox_preds, 4), anchors, labels, weights * (positives | negatives),
        box_targets, box_weights, avg_factor=positives.sum().clamp(min=1))

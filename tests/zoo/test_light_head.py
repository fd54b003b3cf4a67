import math
from pathlib import Path

from dsnet_mm.config import load_config
from dsnet_mm.zoo.light_head import (
    LargeSeparableConv,
    LightHeadBBoxHead,
    LightHeadRoIExtractor,
)

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.task_modules import AnchorGenerator
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import box_iou

CONFIG = Path(__file__).resolve().parents[2] / 'configs/lighthead/lighthead_vgg16_voc07-300to165.py'


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_the_authors():
    cfg = load_config(str(CONFIG)).model
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg)
    parts = (model.backbone, model.rpn_head, model.roi_head.bbox_roi_extractor,
             model.roi_head.bbox_head)
    assert [count(part) for part in parts] == [14_714_688, 2_398_283, 7_696_852, 1_056_793]
    assert count(model) - count(model.data_preprocessor) == 25_866_616


def test_separable_convolution_sees_k_by_k_cells():
    conv = LargeSeparableConv(3, 4, 5, kernel_size=7)
    conv.init_weights()
    x = torch.rand(1, 3, 20, 24, requires_grad=True)
    out = conv(x)
    assert out.shape == (1, 5, 20, 24)
    out[..., 9, 10].sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen[6:13, 7:14].all() and seen.sum() == 49


def test_separable_convolution_is_the_sum_of_two_outer_products():
    conv = LargeSeparableConv(1, 1, 1, kernel_size=3)
    x = torch.rand(1, 1, 6, 6)
    expected = 0.
    for path in (conv.column_row, conv.row_column):
        kernel = torch.outer(path[0].weight.flatten(), path[1].weight.flatten())
        if path is conv.row_column:
            kernel = kernel.T
        # The first bias passes through the second convolution, which sees zeros at the border.
        bias = F.conv2d(torch.full_like(x, path[0].bias.item()), path[1].weight,
                        padding=path[1].padding)
        expected += F.conv2d(x, kernel[None, None], padding=1) + bias + path[1].bias.item()
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize('make, message', [
    (lambda: LargeSeparableConv(3, 4, 5, kernel_size=14), 'kernel_size=14 is even'),
    (lambda: LightHeadRoIExtractor(8, featmap_strides=[8, 16]), 'one level')])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def sample(image: Tensor, y: float, x: float) -> float:
    """Bilinear interpolation between the cells' centres, by hand."""
    height, width = image.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.
    y, x = max(y, 0.), max(x, 0.)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v = y - top if top < height - 1 else 0.
    u = x - left if left < width - 1 else 0.
    return float((1 - v) * ((1 - u) * image[top, left] + u * image[top, right])
                 + v * ((1 - u) * image[bottom, left] + u * image[bottom, right]))


def test_position_sensitive_pooling_against_a_loop():
    size, stride, channels = 3, 16, 2
    extractor = LightHeadRoIExtractor(
        4, featmap_strides=[stride], mid_channels=3, out_channels=channels, kernel_size=3,
        output_size=size)
    feats = torch.randn(2, 4, 8, 9)
    rois = torch.tensor(
        [[0., 5., 10., 100., 90.], [1., 40., 30., 130., 120.], [1., 0., 0., 9., 9.]])
    with torch.no_grad():
        out = extractor((feats, ), rois)
        thin = extractor.separable(feats).clamp(min=0)
    assert out.shape == (3, channels, size, size)
    for k, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (side / stride - 0.5 for side in box)
        cell_h, cell_w = (y2 - y1) / size, (x2 - x1) / size
        for c in range(channels):
            for ph in range(size):
                for pw in range(size):
                    plane = thin[int(image), (c * size + ph) * size + pw]
                    values = [sample(plane, y1 + (ph + (i + 0.5) / 2) * cell_h,
                                     x1 + (pw + (j + 0.5) / 2) * cell_w)
                              for i in range(2) for j in range(2)]
                    assert out[k, c, ph, pw].item() == pytest.approx(sum(values) / 4, abs=1e-5)


def test_no_rois():
    extractor = LightHeadRoIExtractor(4, featmap_strides=[16], mid_channels=3)
    assert extractor((torch.rand(1, 4, 5, 5), ), torch.zeros(0, 5)).shape == (0, 10, 7, 7)


@pytest.mark.parametrize('num_positive', [0, 5])
def test_loss_is_that_of_the_hardest_rois(num_positive):
    head = LightHeadBBoxHead(
        num_hard=6, num_classes=3,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))
    n = 30
    cls_score = torch.randn(n, 4, requires_grad=True)
    bbox_pred = torch.randn(n, 4, requires_grad=True)
    rois = torch.cat([(torch.arange(n) >= 20).float()[:, None], torch.rand(n, 4)], 1)
    labels = torch.full((n, ), 3)
    labels[18:18 + num_positive] = torch.randint(0, 3, (num_positive, ))
    targets = torch.randn(n, 4)
    weights = (labels < 3).float()[:, None].expand(n, 4)
    losses = head.loss(cls_score, bbox_pred, rois, labels, torch.ones(n), targets, weights)

    each_cls = F.cross_entropy(cls_score, labels, reduction='none')
    each_box = (F.smooth_l1_loss(bbox_pred, targets, reduction='none') * weights).sum(1)
    kept = []
    for image in (range(20), range(20, 30)):
        kept += sorted(image, key=lambda i: -(each_cls[i] + each_box[i]).item())[:6]
    torch.testing.assert_close(losses['loss_cls'], each_cls[kept].mean())
    torch.testing.assert_close(losses['loss_bbox'], each_box[kept].sum() / 12)
    losses['loss_cls'].backward()
    assert sorted(cls_score.grad.abs().sum(1).nonzero()[:, 0].tolist()) == sorted(kept)


def test_every_object_has_an_anchor():
    cfg = load_config(str(CONFIG)).model
    generator = TASK_UTILS.build(cfg.rpn_head.anchor_generator)
    assigner = TASK_UTILS.build(cfg.train_cfg.rpn.assigner)
    anchors = generator.grid_priors([(10, 13)], device='cpu')[0]
    assert len(anchors) == 10 * 13 * 15
    # Of 0.3 to 85 % of the image, as in VOC.
    area = torch.empty(300).uniform_(math.log(0.003), math.log(0.85)).exp()
    ratio = (0.5 * torch.randn(300)).exp()
    image = torch.tensor([220., 165.])
    sides = torch.stack([area * ratio, area / ratio], 1).sqrt().clamp(max=1) * image
    corners = torch.rand(300, 2) * (image - sides)
    boxes = torch.cat([corners, corners + sides], 1)
    # Most match well, and better than with the authors' anchors for large images.
    best = box_iou(boxes, anchors).amax(1)
    authors = AnchorGenerator([16], [0.5, 1.0, 2.0], [2, 4, 8, 16, 32], center_offset=0.5)
    theirs = box_iou(boxes, authors.grid_priors([(10, 13)], device='cpu')[0]).amax(1)
    share, their_share = ((x >= 0.5).float().mean() for x in (best, theirs))
    assert share > 0.64 > their_share
    # One at a time: of two objects that share their best anchor, only one can have it.
    for box in boxes:
        result = assigner.assign(
            InstanceData(priors=anchors),
            InstanceData(bboxes=box[None], labels=torch.zeros(1, dtype=torch.long)))
        assert (result.gt_inds == 1).any()

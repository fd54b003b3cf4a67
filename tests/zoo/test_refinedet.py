"""RefineDet against the numbers of its paper and plain loops."""
import copy
import math
from pathlib import Path

from dsnet_mm.config import load_config
from dsnet_mm.zoo.refinedet import RefineDetHead, RefineDetNeck, RefineDetVGG

import numpy as np
import pytest
import torch
from mmdet.models.backbones import SSDVGG
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from torch.nn import functional as F

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
CFG = load_config(str(CONFIGS / 'refinedet/refinedet_vgg16_voc07-300to160.py'))
ANCHORS = CFG.model.bbox_head.anchor_generator
CLASSES = 3
SIZES = [(20, 20), (10, 10), (5, 5), (3, 3)]  # of 160 x 160
META = dict(img_shape=(160, 160), pad_shape=(160, 160), scale_factor=(0.5, 0.4))


def count(*modules) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture
def head() -> RefineDetHead:
    return RefineDetHead(CLASSES, in_channels=(8, ) * 4, arm_in_channels=(6, 8, 10, 12),
                         anchor_generator=ANCHORS, train_cfg=CFG.model.train_cfg,
                         test_cfg=CFG.model.test_cfg)


def predictions(images: int = 2, scale: float = 1.0) -> tuple[list[torch.Tensor], ...]:
    """What the head's forward returns, at random: both modules' scores and deltas."""
    return tuple([(scale * torch.randn(images, 3 * width, *size)).requires_grad_()
                  for size in SIZES] for width in (CLASSES + 1, 4, 2, 4))


def objects(*boxes: list[float]) -> InstanceData:
    return InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4),
                        labels=torch.arange(len(boxes)) % CLASSES)


def anchors_by_loop(sizes: list[tuple[int, int]] = SIZES, scale: float = 3) -> np.ndarray:
    anchors = []
    for (height, width), stride in zip(sizes, (8, 16, 32, 64)):
        for y in range(height):
            for x in range(width):
                for ratio in (0.5, 1, 2):  # height over width, at the area of a square
                    w, h = scale * stride / math.sqrt(ratio), scale * stride * math.sqrt(ratio)
                    cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                    anchors.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return np.array(anchors)


def flat(maps: list[torch.Tensor], image: int, width: int) -> np.ndarray:
    """One row of ``width`` values per anchor of an image, in the order of anchors_by_loop."""
    rows = []
    for level in maps:
        values = level[image].detach().double().numpy()
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                rows += [values[width * a:width * (a + 1), y, x] for a in range(3)]
    return np.array(rows)


def softmax(rows: np.ndarray) -> np.ndarray:
    rows = np.exp(rows)
    return rows / rows.sum(1, keepdims=True)


def decode_by_loop(anchors: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    boxes = []
    for (x1, y1, x2, y2), (dx, dy, dw, dh) in zip(anchors, deltas):
        w, h = x2 - x1, y2 - y1
        cx, cy = (x1 + x2) / 2 + 0.1 * dx * w, (y1 + y2) / 2 + 0.1 * dy * h
        w, h = w * math.exp(0.2 * dw), h * math.exp(0.2 * dh)
        boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return np.array(boxes)


def encode(anchors: np.ndarray, box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = anchors.T
    w, h = x2 - x1, y2 - y1
    return np.stack([
        ((box[0] + box[2]) / 2 - (x1 + x2) / 2) / w / 0.1,
        ((box[1] + box[3]) / 2 - (y1 + y2) / 2) / h / 0.1,
        np.log((box[2] - box[0]) / w) / 0.2, np.log((box[3] - box[1]) / h) / 0.2], 1)


def iou(anchors: np.ndarray, box: np.ndarray) -> np.ndarray:
    low, high = np.maximum(anchors[:, :2], box[:2]), np.minimum(anchors[:, 2:], box[2:])
    inside = (high - low).clip(0).prod(1)
    area = (anchors[:, 2:] - anchors[:, :2]).prod(1)
    return inside / (area + (box[2:] - box[:2]).prod() - inside)


def match_by_loop(anchors: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The object of each anchor: IoU of at least 0.5, and each object's best; -1 for none."""
    matched, best = np.full(len(anchors), -1), np.zeros(len(anchors))
    overlaps = [iou(anchors, box) for box in boxes]
    for i, overlap in enumerate(overlaps):
        better = (overlap >= 0.5) & (overlap > best)
        matched[better], best[better] = i, overlap[better]
    for i, overlap in enumerate(overlaps):
        matched[overlap.argmax()] = i
    return matched


def loss_by_loop(images: list[tuple]) -> tuple[float, float]:
    """Classification and box loss of one module, of (scores, deltas, anchors, boxes, labels,
    whether an anchor may be a negative) of each image."""
    positives, loss_cls, loss_bbox = 0, 0., 0.
    for scores, deltas, anchors, boxes, labels, allowed in images:
        matched = match_by_loop(anchors, boxes)
        background = scores.shape[1] - 1
        probabilities = softmax(scores)
        negatives = []
        for a, gt in enumerate(matched):
            if gt < 0:
                if allowed[a]:
                    negatives.append(-math.log(probabilities[a, background]))
                continue
            loss_cls -= math.log(probabilities[a, labels[gt]])
            for difference in np.abs(deltas[a] - encode(anchors[a:a + 1], boxes[gt])[0]):
                loss_bbox += difference**2 / 2 if difference < 1 else difference - 0.5
        here = int((matched >= 0).sum())
        positives += here
        loss_cls += sum(sorted(negatives, reverse=True)[:3 * here])
    return loss_cls / max(positives, 1), loss_bbox / max(positives, 1)


def reference_losses(outs: tuple, gts: list[InstanceData]) -> dict[str, float]:
    scores, deltas, arm_scores, arm_deltas = outs
    arm, odm, anchors = [], [], anchors_by_loop()
    for i, gt in enumerate(gts):
        boxes, labels = gt.bboxes.double().numpy(), gt.labels.numpy()
        arm_rows, arm_boxes = flat(arm_scores, i, 2), flat(arm_deltas, i, 4)
        objectness = softmax(arm_rows)[:, 0]
        arm.append((arm_rows, arm_boxes, anchors, boxes, 0 * labels, objectness >= 0))
        odm.append((flat(scores, i, CLASSES + 1), flat(deltas, i, 4),
                    decode_by_loop(anchors, arm_boxes), boxes, labels, objectness >= 0.01))
    (arm_cls, arm_bbox), (cls, bbox) = loss_by_loop(arm), loss_by_loop(odm)
    return dict(arm_loss_cls=arm_cls, arm_loss_bbox=arm_bbox, loss_cls=cls, loss_bbox=bbox)


def losses_of(head: RefineDetHead, outs: tuple, gts: list[InstanceData]) -> dict:
    losses = head.loss_by_feat(*outs, gts, [META] * len(gts))
    return {name: sum(values).sum() for name, values in losses.items()}


# --- Numbers of the paper ---

def test_parameters():
    backbone, neck, head = RefineDetVGG(), RefineDetNeck(), RefineDetHead(20)
    fc = backbone.features[31:]
    assert count(fc) == 5_769_216
    assert count(backbone) - count(fc) == 14_714_688
    assert count(neck.extra_layers) == 1_442_560
    assert count(neck.l2_norms) == 1_024
    assert count(neck.laterals, neck.upsamples, neck.outputs) == 11_407_104
    assert count(head.arm) == 414_792
    assert count(head) - count(head.arm) == 691_500
    assert count(backbone, neck, head) == 34_440_884


def test_weights_of_ssd_load():
    RefineDetVGG().load_state_dict(SSDVGG(16).state_dict(), strict=True)


@pytest.mark.parametrize('side, anchors', [
    (320, 6375), (512, 16320), (256, 4080), (192, 2295), (160, 1602)])
def test_anchors_of_each_input_size(side, anchors):
    backbone = RefineDetVGG(base_channels=8, fc_channels=8)
    neck = RefineDetNeck((64, 64, 8), 8, 8)
    with torch.no_grad():
        maps = neck(backbone(torch.randn(1, 3, side, side)))
    sizes = [tuple(m.shape[-2:]) for m in maps]
    assert sizes[:4] == sizes[4:] == [(math.ceil(side / s), ) * 2 for s in (8, 16, 32, 64)]
    priors = RefineDetHead(20).prior_generator.grid_priors(sizes[4:], device='cpu')
    assert sum(map(len, priors)) == anchors
    np.testing.assert_allclose(torch.cat(priors), anchors_by_loop(sizes[4:], 4), atol=1e-3)


# --- Backbone and neck ---

@torch.no_grad()
def test_backbone_by_loop():
    backbone = RefineDetVGG(base_channels=8, fc_channels=24)
    x = images = torch.randn(2, 3, 210, 150)
    expected = []
    for stage in [(0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)]:
        for i in stage:
            conv = backbone.features[i]
            x = F.conv2d(x, conv.weight, conv.bias, padding=1).relu()
        expected.append(x)
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    fc6, fc7 = backbone.features[31], backbone.features[33]
    x = F.conv2d(x, fc6.weight, fc6.bias, padding=3, dilation=3).relu()
    expected.append(F.conv2d(x, fc7.weight, fc7.bias).relu())
    outs = backbone(images)
    assert [tuple(out.shape) for out in outs] == [
        (2, 64, 27, 19), (2, 64, 14, 10), (2, 24, 7, 5)]
    for out, reference in zip(outs, expected[3:]):
        torch.testing.assert_close(out, reference)


def test_l2_norms_before_and_after_initialisation():
    neck = RefineDetNeck((16, 16, 24), 8, 8)
    for _ in range(2):
        for norm, scale in zip(neck.l2_norms, (10, 8)):
            assert norm.weight.shape == (16, ) and (norm.weight == scale).all()
        neck.init_weights()
    inputs = [torch.rand(1, 16, 4, 4), torch.rand(1, 16, 2, 2), torch.rand(1, 24, 1, 1)]
    outs = neck(inputs)
    torch.testing.assert_close(outs[0].norm(dim=1), torch.full((1, 4, 4), 10.))
    torch.testing.assert_close(outs[1].norm(dim=1), torch.full((1, 2, 2), 8.))
    torch.testing.assert_close(outs[2], inputs[2])


@torch.no_grad()
@pytest.mark.parametrize('side', [160, 165, 179])
def test_neck_by_loop(side):
    sizes = [math.ceil(side / s) for s in (8, 16, 32)]
    neck = RefineDetNeck((6, 8, 10), 12, 4)
    inputs = [torch.randn(2, c, n, n) for c, n in zip((6, 8, 10), sizes)]
    outs = neck(inputs)

    def conv(module, x, **kwargs):
        return F.conv2d(x, module.conv.weight, module.conv.bias, **kwargs)

    one, two = neck.extra_layers[0]
    sources = [10 * F.normalize(inputs[0]), 8 * F.normalize(inputs[1]), inputs[2]]
    sources.append(conv(two, conv(one, inputs[2]).relu(), stride=2, padding=1).relu())
    above, transferred = None, {}
    for i in (3, 2, 1, 0):
        first, second = neck.laterals[i]
        x = conv(second, conv(first, sources[i], padding=1).relu(), padding=1)
        if above is not None:
            up = neck.upsamples[i]
            large = F.conv_transpose2d(above, up.weight, up.bias, stride=2)
            for row in range(x.shape[2]):
                x[:, :, row] += large[:, :, row, :x.shape[3]]
        above = transferred[i] = conv(neck.outputs[i], x.relu(), padding=1).relu()
    assert len(outs) == 8
    for out, expected in zip(outs, [*sources, *(transferred[i] for i in range(4))]):
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


# --- Anchors for the small input ---

def test_every_object_gets_an_anchor(head):
    rng = np.random.default_rng(0)
    sides = np.exp(rng.uniform(np.log(2), np.log(160), (500, 2)))
    corners = rng.random((500, 2)) * (160 - sides)
    for x, y, w, h in np.concatenate([corners, sides], 1):
        gt = objects([x, y, x + w, y + h])
        anchors, flags = head.get_anchors(SIZES, [META], 'cpu')
        labels = torch.cat(head.get_targets(anchors, flags, [gt], [META])[0], 1)
        assert (labels == 0).any()


def test_share_of_well_matched_boxes_is_what_the_config_says():
    rng = np.random.default_rng(0)
    area = np.exp(rng.uniform(np.log(0.003), np.log(0.85), 2000))
    ratio = np.exp(0.5 * rng.standard_normal(2000))
    sides = np.sqrt(np.stack([area * ratio, area / ratio], 1)).clip(0.02, 1)
    corners = rng.random((2000, 2)) * (1 - sides)
    boxes = 160 * np.concatenate([corners, corners + sides], 1)
    shares = {}
    for scale in (2, 3, 4):
        anchors = anchors_by_loop(scale=scale)
        shares[scale] = np.mean([iou(anchors, box).max() >= 0.5 for box in boxes])
    assert shares == pytest.approx({2: 0.68, 3: 0.74, 4: 0.65}, abs=0.02)
    assert ANCHORS.scales == [3]


# --- Head ---

def test_head_shapes(head):
    maps = [torch.randn(2, c, *size) for c, size in zip((6, 8, 10, 12, 8, 8, 8, 8), 2 * SIZES)]
    for out, width in zip(head(maps), (CLASSES + 1, 4, 2, 4)):
        assert [tuple(level.shape) for level in out] == [(2, 3 * width, *size) for size in SIZES]


def test_modules_read_their_own_maps(head):
    maps = [torch.randn(1, c, *size) for c, size in zip((6, 8, 10, 12, 8, 8, 8, 8), 2 * SIZES)]
    before = head(maps)
    after = head([*maps[:4], *(2 * m + 1 for m in maps[4:])])
    for i, (x, y) in enumerate(zip(before, after)):
        assert all(torch.equal(a, b) == (i >= 2) for a, b in zip(x, y))


def test_moved_anchors_by_loop(head):
    _, _, arm_scores, arm_deltas = predictions(scale=2)
    moved, objectness = head.refine(arm_scores, arm_deltas)
    assert not moved.requires_grad and not objectness.requires_grad
    for i in range(2):
        expected = decode_by_loop(anchors_by_loop(), flat(arm_deltas, i, 4))
        assert expected.min() < -20 and expected.max() > 180  # not clipped
        np.testing.assert_allclose(moved[i], expected, atol=1e-3)
        np.testing.assert_allclose(objectness[i], softmax(flat(arm_scores, i, 2))[:, 0], atol=1e-6)


@pytest.mark.parametrize('gts', [
    [objects([10., 20., 60., 90.], [80., 75., 150., 157.], [30., 30., 50.3, 47.2]),
     objects([1.3, 2.1, 157.2, 158.9])],
    [objects([10., 20., 60., 90.]), objects()],
    [objects(), objects()],
], ids=['objects', 'an image without', 'no objects'])
def test_losses_by_loop(head, gts):
    """With many anchors on both sides of the objectness threshold, also among the positives."""
    outs = predictions()
    for level in outs[2]:
        level.data *= 5
    expected = reference_losses(outs, gts)
    losses = losses_of(head, outs, gts)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-4)
    if not any(len(gt) for gt in gts):
        assert all(value == 0 for value in losses.values())
    sum(losses.values()).backward()
    assert all(level.grad.isfinite().all() for levels in outs for level in levels)


@pytest.mark.parametrize('empty', [(20., 20., 20., 60.), (5., 5., 5., 5.), (50., 50., 10., 10.)])
def test_boxes_without_area_are_left_out(head, empty):
    outs = predictions()
    gts = [objects([10, 10, 80, 90]), objects()]
    losses = losses_of(head, outs, [objects(list(empty), [10, 10, 80, 90]), objects(list(empty))])
    gts[0].labels[:] = 1  # of the second of two
    for name, value in losses_of(head, outs, gts).items():
        assert value.isfinite() and value == losses[name]


def test_sure_background_leaves_the_mining_and_positives_stay(head):
    gt = objects([16., 16., 56., 56.])
    scores, deltas, arm_scores, arm_deltas = predictions(1)
    for level in arm_deltas:
        level.data.zero_()
    for level in arm_scores:  # sure of background everywhere
        level.data[:, 0::2], level.data[:, 1::2] = -10, 10
    losses = losses_of(head, (scores, deltas, arm_scores, arm_deltas), [gt])
    matched = match_by_loop(anchors_by_loop(), gt.bboxes.numpy())
    positive = -np.log(softmax(flat(scores, 0, CLASSES + 1))[matched == 0, 0])
    assert len(positive) > 2
    assert losses['loss_cls'].item() == pytest.approx(positive.mean(), rel=1e-4)

    # Two negatives are let in, fewer than three times the positives: both are learnt.
    for level in arm_scores[3:]:
        level.data[0, :4, 2, 2] = 0
    assert (matched[-3:] == -1).all()
    negative = -np.log(softmax(flat(scores, 0, CLASSES + 1))[-3:-1, CLASSES])
    losses = losses_of(head, (scores, deltas, arm_scores, arm_deltas), [gt])
    expected = (positive.sum() + negative.sum()) / len(positive)
    assert losses['loss_cls'].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('prefix, reached', [('arm_loss', (2, 3)), ('loss', (0, 1))])
def test_each_module_learns_from_its_own_loss(head, prefix, reached):
    outs = predictions()
    losses = losses_of(head, outs, [objects([10., 20., 60., 90.]), objects([0., 0., 99., 99.])])
    sum(v for k, v in losses.items() if k.startswith(prefix)).backward()
    for i, levels in enumerate(outs):
        grads = [level.grad for level in levels]
        if i in reached:
            assert any(grad.any() for grad in grads)
        else:
            assert all(grad is None or not grad.any() for grad in grads)


# --- Prediction ---

def nms_by_loop(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> list[int]:
    kept = []
    for i in np.argsort(-scores):
        rivals = [j for j in kept if labels[j] == labels[i]]
        if (iou(boxes[rivals], boxes[i]) <= 0.45).all():
            kept.append(i)
    return kept


def test_prediction_by_loop(head):
    outs = predictions()
    for level in outs[2]:
        level.data *= 4
    cfg = ConfigDict(CFG.model.test_cfg)
    results = head.predict_by_feat(*outs, batch_img_metas=[META] * 2, rescale=True)
    for i, result in enumerate(results):
        moved = decode_by_loop(anchors_by_loop(), flat(outs[3], i, 4))
        boxes = decode_by_loop(moved, flat(outs[1], i, 4)).clip(0, 160)
        objectness = softmax(flat(outs[2], i, 2))[:, 0]
        scores = softmax(flat(outs[0], i, CLASSES + 1))[:, :-1]
        assert 100 < (objectness < 0.01).sum() < 1000
        scores[objectness < 0.01] = 0
        top = np.argsort(-scores, axis=None)[:cfg.nms_pre]
        assert scores.flat[top[-1]] > cfg.score_thr
        rows, labels = np.unravel_index(top, scores.shape)
        kept = nms_by_loop(boxes[rows], scores.flat[top], labels)[:cfg.max_per_img]
        assert len(result) == len(kept)
        np.testing.assert_allclose(result.scores, scores.flat[top[kept]], rtol=1e-4)
        np.testing.assert_array_equal(result.labels, labels[kept])
        np.testing.assert_allclose(
            result.bboxes, boxes[rows[kept]] / (0.5, 0.4, 0.5, 0.4), atol=1e-2)


def test_nothing_is_found_where_all_is_background(head):
    outs = predictions(1)
    for level in outs[2]:
        level.data[:, 0::2], level.data[:, 1::2] = -10, 10
    for result in head.predict_by_feat(*outs, batch_img_metas=[META], rescale=True):
        assert len(result) == 0 and result.bboxes.shape == (0, 4)


def test_whole_model_trains_and_predicts():
    """The whole model, on two images of odd sizes, one of them without objects."""
    cfg = load_config(str(CONFIGS / 'mini/textures/refinedet_textures.py')).model
    cfg.data_preprocessor.pop('target_size')
    cfg.data_preprocessor.update(scale=0.55)
    with DefaultScope.overwrite_default_scope('mmdet'):
        with MODELS.switch_scope_and_registry('mmdet') as registry:
            model = registry.build(cfg)

    def sample(height: int, width: int, gt: InstanceData) -> DetDataSample:
        metainfo = dict(img_shape=(height, width), ori_shape=(2 * height, 2 * width),
                        scale_factor=(0.5, 0.5))
        return DetDataSample(metainfo=metainfo, gt_instances=gt)

    batch = dict(
        inputs=[torch.randint(0, 256, (3, 301, 270)).byte(),
                torch.randint(0, 256, (3, 255, 322)).byte()],
        data_samples=[sample(301, 270, objects([40., 50., 200., 180.])),
                      sample(255, 322, objects())])
    loss, losses = model.parse_losses(
        model(**model.data_preprocessor(copy.deepcopy(batch), True), mode='loss'))
    assert {'arm_loss_cls', 'arm_loss_bbox', 'loss_cls', 'loss_bbox'} < losses.keys()
    assert all(value > 0 for value in losses.values())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())

    with torch.no_grad():
        model.eval()
        images = model.data_preprocessor(copy.deepcopy(batch))['inputs']
        moved, _ = model.bbox_head.refine(*model(images)[2:])
        results = model.test_step(batch)
    assert not torch.allclose(moved[0], moved[1])
    for result in results:
        boxes = result.pred_instances.bboxes
        height, width = result.ori_shape
        assert len(boxes) > 0 and (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height] * 2) + 1e-3).all()
        assert boxes[:, 2].max() > 0.9 * width and boxes[:, 3].max() > 0.9 * height


@pytest.mark.parametrize('module, arguments, message', [
    (RefineDetHead, dict(in_channels=(256, ) * 3), '3, 4 and 4 levels'),
    (RefineDetHead, dict(anchor_generator=dict(ANCHORS, strides=[8, 16])), '4, 4 and 2 levels'),
    (RefineDetHead, dict(objectness_thr=1), 'objectness_thr=1'),
    (RefineDetNeck, dict(l2_norm_scales=()), 'l2_norm_scales'),
    (RefineDetNeck, dict(l2_norm_scales=(10, 8, 8, 8)), '1 to 3 scales'),
    (RefineDetVGG, dict(depth=12), 'depth=12')])
def test_wrong_arguments(module, arguments, message):
    if module is RefineDetHead:
        arguments = dict(num_classes=1, **arguments)
    with pytest.raises(ValueError, match=message):
        module(**arguments)

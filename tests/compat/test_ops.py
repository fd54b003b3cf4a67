"""mmcv's operators on torchvision against compiled mmcv, naive loops and finite differences."""
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import boxes, flatten, rois, run_cases, stand_ins, tensors, with_gradients
from mmcv import ops
from torch.autograd import gradcheck

GOLDEN = np.load(Path(__file__).with_name('golden.npz'))


@pytest.fixture(scope='module')
def results():
    return run_cases()


@pytest.mark.parametrize('name', GOLDEN.files)
def test_equals_compiled_mmcv(results, name):
    np.testing.assert_allclose(flatten(results[name]), GOLDEN[name], rtol=1e-5, atol=1e-5)


def test_golden_file_holds_every_case(results):
    assert set(GOLDEN.files) == set(results)


def naive_iou(a, b, offset):
    side = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + offset for i in (0, 1)]
    overlap = max(side[0], 0) * max(side[1], 0)
    area = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
    return overlap / (sum(area) - overlap)


def naive_soft_nms(box, score, threshold, sigma, min_score, method, offset):
    rest = {i: s for i, s in enumerate(score.tolist())}
    kept = []
    while rest:
        best = max(rest, key=rest.get)
        kept.append((best, rest.pop(best)))
        for i in list(rest):
            iou = naive_iou(box[best].tolist(), box[i].tolist(), offset)
            if method == 'gaussian':
                rest[i] *= np.exp(-iou**2 / sigma)
            elif iou > threshold:
                rest[i] *= {'naive': 0, 'linear': 1 - iou}[method]
            if rest[i] < min_score:
                del rest[i]
    return kept


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_against_a_loop(offset):
    box, score = boxes(5, 40)
    expected = [i for i, _ in naive_soft_nms(box, score, 0.5, 1, 1e-6, 'naive', offset)]
    dets, keep = ops.nms(box, score, 0.5, offset=offset)
    assert keep.tolist() == expected
    torch.testing.assert_close(dets, torch.cat([box, score[:, None]], 1)[keep])


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_against_a_loop(method):
    box, score = boxes(6, 40)
    expected = naive_soft_nms(box, score, 0.3, 0.5, 0.1, method, 0)
    dets, keep = ops.soft_nms(box, score, 0.3, sigma=0.5, min_score=0.1, method=method)
    assert keep.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(dets[:, 4], [s for _, s in expected], rtol=1e-5)


def test_nothing_in_nothing_out():
    dets, keep = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5) and keep.shape == (0, )
    dets, keep = ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and keep.shape == (0, )


def test_batched_nms_keeps_classes_apart():
    box, score = boxes(7, 30)
    classes = torch.arange(30) % 2
    _, keep = ops.batched_nms(box, score, classes, dict(type='nms', iou_threshold=0.5))
    expected = set()
    for c in (0, 1):
        index = (classes == c).nonzero()[:, 0]
        expected |= {int(index[i]) for i, _ in naive_soft_nms(
            box[index], score[index], 0.5, 1, 1e-6, 'naive', 0)}
    assert set(keep.tolist()) == expected


@stand_ins
def test_roi_pool_against_a_loop():
    feature, = tensors(8, (2, 2, 9, 11))
    pooled, gradient = with_gradients(lambda x: ops.roi_pool(x, rois(), (3, 2), 0.5), feature)
    expected = torch.zeros_like(pooled)
    expected_gradient = torch.zeros_like(feature)
    ramp = torch.linspace(-1, 1, pooled.numel()).view_as(pooled)

    def rounded(value):  # half away from zero, as C's round
        return int(np.floor(abs(value) + 0.5) * np.sign(value))

    for r, (image, x1, y1, x2, y2) in enumerate(rois().tolist()):
        x1, y1, x2, y2 = (rounded(v * 0.5) for v in (x1, y1, x2, y2))
        h, w = max(y2 - y1 + 1, 1) / 3, max(x2 - x1 + 1, 1) / 2
        for i in range(3):
            for j in range(2):
                rows = range(max(int(np.floor(i * h)) + y1, 0),
                             min(int(np.ceil((i + 1) * h)) + y1, 9))
                cols = range(max(int(np.floor(j * w)) + x1, 0),
                             min(int(np.ceil((j + 1) * w)) + x1, 11))
                cells = [(y, x) for y in rows for x in cols]
                for c in range(2):
                    if cells:
                        best = max(cells, key=lambda p: feature[int(image), c, p[0], p[1]])
                        expected[r, c, i, j] = feature[int(image), c, best[0], best[1]]
                        expected_gradient[int(image), c, best[0], best[1]] += ramp[r, c, i, j]
    torch.testing.assert_close(pooled, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def bilinear_at(image, y, x):
    """Value of a (C, H, W) image at a point, zero outside."""
    total = 0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for col in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[1] and 0 <= col < image.shape[2]:
                total = total + (1 - abs(y - row)) * (1 - abs(x - col)) * image[:, row, col]
    return total


def test_deformable_convolutions_against_a_loop():
    image, offset, mask, weight, bias = tensors(9, (1, 2, 4, 5), (1, 18, 4, 5), (1, 9, 4, 5),
                                                (3, 2, 3, 3), (3, ))
    plain, modulated = torch.zeros(2, 3, 4, 5)
    for i in range(4):
        for j in range(5):
            for k in range(9):
                dy, dx = offset[0, 2 * k:2 * k + 2, i, j].tolist()
                value = bilinear_at(image[0], i - 1 + k // 3 + dy, j - 1 + k % 3 + dx)
                if isinstance(value, torch.Tensor):
                    term = weight[:, :, k // 3, k % 3] @ value
                    plain[:, i, j] += term
                    modulated[:, i, j] += term * mask[0, k, i, j]
    torch.testing.assert_close(ops.deform_conv2d(image, offset, weight, 1, 1)[0], plain)
    torch.testing.assert_close(
        ops.modulated_deform_conv2d(image, offset, mask, weight, bias, 1, 1)[0],
        modulated + bias[:, None, None])


@stand_ins
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_offsets_that_are_not_finite_show_in_the_output(value):
    conv = ops.ModulatedDeformConv2dPack(2, 3, 3, padding=1)
    x = torch.rand(2, 2, 5, 5)
    x[1, 0, 2, 2] = value
    out = conv(x)
    assert out[0].isfinite().all() and out[1].isnan().all()
    out.sum().backward()
    assert conv.weight.grad.isnan().any()


@stand_ins
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
@pytest.mark.parametrize('op', [ops.roi_align, ops.roi_pool])
def test_rois_that_are_not_finite_show_in_the_output(op, value):
    """torchvision's operators would read outside their memory, and end the process."""
    x = torch.rand(2, 2, 5, 5, requires_grad=True)
    given = torch.tensor([[0, 0, 0, 4, 4], [1, 0, value, 4, 4], [1, 1, 0, 3, 4]])
    out = op(x, given, (2, 2))
    torch.testing.assert_close(out[[0, 2]], op(x, given[[0, 2]], (2, 2)))
    assert out[1].isnan().all()
    out[[0, 2]].sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_gradients_against_finite_differences():
    image, offset, mask, weight, bias, feature = (x.double().requires_grad_() for x in tensors(
        10, (2, 2, 4, 4), (2, 18, 4, 4), (2, 9, 4, 4), (2, 2, 3, 3), (2, ), (2, 1, 9, 11)))
    assert gradcheck(lambda *x: ops.deform_conv2d(*x, 1, 1), (image, offset, weight))
    assert gradcheck(lambda *x: ops.modulated_deform_conv2d(*x, 1, 1),
                     (image, offset, mask, weight, bias))
    assert gradcheck(lambda x: ops.roi_align(x, rois().double(), (2, 2), 0.5, 2, 'avg', True),
                     (feature, ))


@stand_ins
def test_sigmoid_focal_loss_against_its_formula():
    logits, = tensors(11, (6, 3))
    target = torch.tensor([0, 1, 2, 3, 3, 1])  # 3 is background
    p = logits.double().sigmoid().requires_grad_()
    hot = torch.eye(4)[target, :3].bool()
    expected = torch.where(hot, -0.25 * (1 - p)**2 * p.log(), -0.75 * p**2 * (1 - p).log())
    gradient, = torch.autograd.grad(expected.sum(), p)
    p = p.detach()
    output, grad = with_gradients(
        lambda x: ops.sigmoid_focal_loss(x, target, 2.0, 0.25, None, 'none').sum() * 1.0, logits)
    torch.testing.assert_close(output, expected.sum().float())
    torch.testing.assert_close(grad, -(gradient * p * (1 - p)).float())  # the ramp of one is -1


@stand_ins
def test_ms_deform_attn_against_finite_differences():
    shapes = torch.tensor([[3, 4], [2, 2]])
    value, weights = (x.double() for x in tensors(12, (1, 16, 2, 2), (1, 3, 2, 2, 2)))
    # Half-way between grid lines, where interpolation has a derivative.
    places = torch.rand(1, 3, 2, 2, 2, 2, dtype=torch.double) * 0.01 + 0.45
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
    assert gradcheck(
        lambda v, p, w: MultiScaleDeformableAttnFunction.apply(
            v, shapes, torch.tensor([0, 12]), p, w, 64),
        tuple(x.requires_grad_() for x in (value, places, weights)))


@stand_ins
def test_maximum_roi_align_names_the_remedy():
    with pytest.raises(NotImplementedError, match="pool_mode='max'.*compiled"):
        ops.roi_align(torch.zeros(2, 1, 9, 11), rois(), 2, 0.5, 2, 'max', True)

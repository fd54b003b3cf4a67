"""Suppression of fixed shape: in PyTorch and in ONNX what mmcv's ``batched_nms`` finds."""
from dsnet_mm.deploy.decoders.suppression import TRANSLATIONS, Candidates, best, suppress, top
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.translation import CAN_EXPORT

import onnxruntime
import pytest
import torch
from mmcv.ops import batched_nms
from torch import Tensor, nn

NMS = dict(type='nms', iou_threshold=0.5)


def draw(images: int, number: int) -> Candidates:
    corners = 60 * torch.rand(images, number, 2) - 5
    boxes = torch.cat([corners, corners + 4 + 30 * torch.rand(images, number, 2)], dim=2)
    scores = torch.rand(images, number)
    return Candidates(boxes, scores.where(scores > 0.3, 0), torch.randint(3, (images, number)))


def expected(candidates: Candidates, cfg: dict, number: int) -> list[tuple[Tensor, ...]]:
    """Of each image boxes, scores and labels."""
    found = []
    for boxes, scores, labels in zip(*candidates):
        alive = scores > 0
        if not alive.any():
            found.append((boxes[:0], scores[:0], labels[:0]))
            continue
        rows, kept = batched_nms(boxes[alive], scores[alive], labels[alive], cfg)
        found.append((rows[:number, :4], rows[:number, 4], labels[alive][kept][:number]))
    return found


def agree(found: Candidates, wanted: list[tuple[Tensor, ...]]) -> None:
    for boxes, scores, labels, image in zip(*found, wanted):
        real = len(image[1])
        for value, other in zip((boxes, scores, labels), image):
            torch.testing.assert_close(value[:real], other, rtol=0, atol=0)
        assert not boxes[real:].any() and not scores[real:].any() and (labels[real:] == -1).all()


@pytest.mark.parametrize('cfg', [NMS, dict(NMS, class_agnostic=True)], ids=['classes', 'agnostic'])
def test_is_batched_nms(cfg):
    candidates = draw(3, 200)
    for number in (5, 150):  # fewer than are left, and more
        agree(suppress(candidates, cfg, number), expected(candidates, cfg, number))


def test_nothing_to_find():
    boxes, scores, labels = draw(2, 10)
    found = suppress(Candidates(boxes, 0 * scores, labels), NMS, 4)
    agree(found, [(boxes[0, :0], scores[0, :0], labels[0, :0])] * 2)


@pytest.mark.parametrize('cfg', [
    dict(type='soft_nms', iou_threshold=0.5), dict(type='nms'), dict(NMS, max_num=3)], ids=str)
def test_other_suppression(cfg):
    with pytest.raises(CannotExport, match='test_cfg.nms'):
        suppress(draw(1, 5), cfg, 3)


def test_best_of_few():
    candidates = draw(2, 6)
    found = best(candidates, 8)
    assert found.boxes.shape == (2, 8, 4)
    order = candidates.scores.argsort(dim=1, descending=True)
    agree(found, [tuple(value[rows[candidates.scores[i][rows] > 0]] for value in
                        (candidates.boxes[i], candidates.scores[i], candidates.labels[i]))
                  for i, rows in enumerate(order)])
    values, places = top(torch.tensor([[0.5, 0.7]]), 3)
    assert torch.equal(values, torch.tensor([[0.7, 0.5, 0.]])) and places.tolist() == [[1, 0, 0]]


class Suppression(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return suppress(Candidates(boxes, scores, labels), NMS, 20)


@pytest.mark.skipif(not CAN_EXPORT, reason='PyTorch before 2.10')
@pytest.mark.parametrize('opset', [18, 20])
def test_in_onnx(opset, tmp_path):
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        Suppression(), tuple(draw(2, 50)), dynamic_shapes=3 * (dynamic, ), dynamo=True,
        opset_version=opset, verbose=False, input_names=['boxes', 'scores', 'labels'],
        custom_translation_table=TRANSLATIONS)
    program.save(tmp_path / 'nms.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'nms.onnx')
    for images, number in ((1, 200), (3, 30), (2, 7)):
        candidates = draw(images, number)
        for empty in (None, 0, slice(None)):
            if empty is not None:
                candidates.scores[empty] = 0
            found = session.run(None, dict(zip(('boxes', 'scores', 'labels'),
                                               (value.numpy() for value in candidates))))
            agree(Candidates(*map(torch.from_numpy, found)), expected(candidates, NMS, 20))

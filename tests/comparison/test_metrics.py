from dsnet_mm.comparison.metrics import DetailedIoUMetric, DetailedVOCMetric, detailed, details

import numpy as np
import pytest
import torch


def image(boxes, labels, found, found_labels, scores):
    box = np.array(boxes, np.float32).reshape(-1, 4)
    truth = dict(bboxes=box, labels=np.array(labels), bboxes_ignore=np.zeros((0, 4), np.float32),
                 labels_ignore=np.zeros(0, int))
    found = np.hstack([np.array(found, np.float32).reshape(-1, 4),
                       np.array(scores, np.float32).reshape(-1, 1)])
    return truth, [found[np.array(found_labels) == label] for label in range(3)]


def test_ap_per_class_and_per_size():
    small, medium, large = [0, 0, 9, 9], [20, 20, 49, 49], [60, 60, 159, 159]
    results = [image([small, medium, large], [0, 0, 1], [medium, large], [0, 1], [0.9, 0.8]),
               image([small, medium, large], [0, 0, 1], [medium, small], [0, 1], [0.9, 0.7])]
    metric = DetailedVOCMetric(eval_mode='area')
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    values = metric.compute_metrics(results)
    # Of class a both medium ones of four are found, of b one large one of two, c is nowhere.
    per_class, _ = details([metric], values, ['a', 'b', 'c'])
    assert per_class == pytest.approx(dict(a=0.5, b=0.5, c=None))
    assert values['mAP'] == pytest.approx(0.5)
    # No small one is found, both medium ones, one of the two large ones.
    assert metric.per_size == pytest.approx(
        {'small (<23 px)': 0, 'medium (to 53 px)': 1, 'large (>53 px)': 0.5})


def naive_pooled_ap(results):
    """The area under the curve of all detections, from the highest score to the lowest."""
    found = sorted(((box[4], i, label, box[:4].astype(float))
                    for i, (_, per_class) in enumerate(results)
                    for label, boxes in enumerate(per_class) for box in boxes),
                   key=lambda detection: -detection[0])
    taken, right = set(), []
    for _, i, label, (x1, y1, x2, y2) in found:
        best, which = 0.0, None
        for j, (a1, b1, a2, b2) in enumerate(results[i][0]['bboxes'].astype(float)):
            if results[i][0]['labels'][j] != label:
                continue
            width, height = min(x2, a2) - max(x1, a1) + 1, min(y2, b2) - max(y1, b1) + 1
            both = width * height if width > 0 and height > 0 else 0.0
            areas = (x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1)
            if both / (areas - both) > best:
                best, which = both / (areas - both), (i, j)
        right.append(best >= 0.5 and which not in taken)
        taken |= {which} if right[-1] else set()
    precisions = [sum(right[:n]) / n for n in range(1, len(right) + 1)]
    objects = sum(len(truth['labels']) for truth, _ in results)
    # A recall's precision is the best one at it or beyond.
    return sum(max(precisions[n:]) for n, hit in enumerate(right) if hit) / objects


def test_pooled_ap_ranks_the_detections_of_all_classes_together():
    rng = np.random.default_rng(0)
    results = []
    for _ in range(12):
        boxes = np.repeat(rng.uniform(0, 80, (4, 2)), 2, axis=1)[:, [0, 2, 1, 3]]
        boxes[:, 2:] += rng.uniform(20, 60, (4, 2))
        labels = rng.integers(0, 3, 4)
        found = np.repeat(boxes, 3, axis=0) + rng.normal(0, 5, (12, 4))
        found_labels = np.where(rng.random(12) < 0.7, labels.repeat(3), rng.integers(0, 3, 12))
        results.append(image(boxes, labels, found, found_labels, rng.random(12)))
    metric = DetailedVOCMetric(eval_mode='area')
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    pooled = metric.compute_metrics(results)['pooled_AP50']
    assert 0.1 < pooled < 0.9
    assert pooled == pytest.approx(naive_pooled_ap(results))


def test_pooled_ap_weighs_a_class_by_its_objects():
    box, elsewhere = [0, 0, 29, 29], [60, 60, 89, 89]
    # Nine objects of class a are found, the only one of class b is not: mAP halves.
    results = [image([box], [0], [box], [0], [0.9]) for _ in range(9)]
    results.append(image([box], [1], [elsewhere], [1], [0.1]))
    metric = DetailedVOCMetric(eval_mode='area')
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    values = metric.compute_metrics(results)
    assert values['mAP'] == pytest.approx(0.5)
    assert values['pooled_AP50'] == pytest.approx(0.9)


def test_iou_per_class():
    metric = DetailedIoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = dict(classes=('a', 'b', 'nowhere'))
    truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255]])
    found = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1]])
    areas = metric.intersect_and_union(found, truth, 3, 255)
    values = metric.compute_metrics([areas])
    per_class, per_size = details([metric], values, ['a', 'b', 'nowhere'])
    assert per_class == pytest.approx(dict(a=75, b=75, nowhere=None))
    assert values['mIoU'] == pytest.approx(75) and per_size == {}
    assert values['IoU/a'] == pytest.approx(75) and 'IoU/nowhere' not in values


def test_coco_keeps_its_classes_and_sizes():
    evaluator = detailed([dict(type='mmdet.CocoMetric', metric='bbox')])
    assert evaluator == [dict(type='mmdet.CocoMetric', metric='bbox', classwise=True)]
    values = {'coco/bbox_mAP': 0.3, 'coco/cat_precision': 0.2, 'coco/dog_precision': float('nan'),
              'coco/bbox_mAP_s': 0.1, 'coco/bbox_mAP_50': 0.5}
    assert details([], values, ['cat', 'dog']) == (
        dict(cat=0.2, dog=None), dict(small=0.1))


def test_coco_with_masks_gives_no_classes():
    evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'])
    assert detailed(evaluator, 'mmdet') == evaluator


def test_metrics_of_an_evaluator_are_found():
    evaluator = detailed(dict(type='Evaluator', metrics=[dict(type='IoUMetric')]), 'mmseg')
    assert evaluator == dict(type='Evaluator', metrics=[dict(type='DetailedIoUMetric')])


def test_other_metrics_stay_as_they_are():
    assert detailed(dict(type='DumpResults')) == dict(type='DumpResults')

import numpy as np
import pytest
import torch
from comparison.metrics import DetailedIoUMetric, DetailedVOCMetric, detailed, details


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
    kept = details([metric], values, ['a', 'b', 'c'])
    assert kept['per_class'] == pytest.approx(dict(a=0.5, b=0.5, c=None))
    assert values['mAP'] == pytest.approx(0.5)
    # No small one is found, both medium ones, one of the two large ones.
    assert metric.per_size == pytest.approx(
        {'small (<23 px)': 0, 'medium (to 53 px)': 1, 'large (>53 px)': 0.5})


def test_iou_per_class():
    metric = DetailedIoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = dict(classes=('a', 'b', 'nowhere'))
    truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255]])
    found = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1]])
    areas = metric.intersect_and_union(found, truth, 3, 255)
    values = metric.compute_metrics([areas])
    kept = details([metric], values, ['a', 'b', 'nowhere'])
    assert kept['per_class'] == pytest.approx(dict(a=75, b=75, nowhere=None))
    assert values['mIoU'] == pytest.approx(75) and kept['per_size'] == {}
    assert values['IoU/a'] == pytest.approx(75) and 'IoU/nowhere' not in values


def test_coco_keeps_its_classes_and_sizes():
    evaluator = detailed([dict(type='mmdet.CocoMetric', metric='bbox')])
    assert evaluator == [dict(type='mmdet.CocoMetric', metric='bbox', classwise=True)]
    values = {'coco/bbox_mAP': 0.3, 'coco/cat_precision': 0.2, 'coco/dog_precision': float('nan'),
              'coco/bbox_mAP_s': 0.1, 'coco/bbox_mAP_50': 0.5}
    assert details([], values, ['cat', 'dog']) == dict(
        per_class=dict(cat=0.2, dog=None), per_size=dict(small=0.1))


def test_coco_with_masks_gives_no_classes():
    evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'])
    assert detailed(evaluator) == evaluator


def test_metrics_of_an_evaluator_are_found():
    evaluator = detailed(dict(type='Evaluator', metrics=[dict(type='IoUMetric')]))
    assert evaluator == dict(type='Evaluator', metrics=[dict(type='DetailedIoUMetric')])


def test_other_metrics_stay_as_they_are():
    assert detailed(dict(type='DumpResults')) == dict(type='DumpResults')

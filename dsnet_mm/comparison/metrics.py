"""mmdet's and mmseg's metrics, which also keep their values per class and object size."""
from collections.abc import Sequence
from functools import partial

from dsnet_mm.config import resolve

import numpy as np
from mmdet.evaluation import CocoMetric, VOCMetric
from mmdet.evaluation.functional import eval_map
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric

COCO_SIZES = dict(bbox_mAP_s='small', bbox_mAP_m='medium', bbox_mAP_l='large')


class DetailedVOCMetric(VOCMetric):
    """Keeps the AP per class and the mAP of the small, medium and large third of the objects.

    Sizes are square roots of areas, in pixels of the original image. Also gives ``pooled_AP50``,
    the AP at an IoU of 0.5 of all classes ranked together, to which a rare class adds little noise.
    """
    per_class: dict[str, float]
    per_size: dict[str, float]

    def compute_metrics(self, results: list) -> dict:
        metrics = super().compute_metrics(results)
        truth, found = zip(*results)
        boxes = np.concatenate([image['bboxes'] for image in truth])
        sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1))
        low, high = (round(float(size), 1) for size in np.quantile(sizes, (1 / 3, 2 / 3)))
        ranges = {f'small (<{low:.0f} px)': (0, low),
                  f'medium (to {high:.0f} px)': (low, high),
                  f'large (>{high:.0f} px)': (high, 1e5)}
        ap = partial(eval_map, eval_mode=self.eval_mode, use_legacy_coordinate=True,
                     logger='silent')
        metrics['pooled_AP50'] = float(ap(*_one_class(found, truth), iou_thr=0.5)[0])
        per_class = np.mean([[float(r['ap']) if r['num_gts'] else np.nan
                              for r in ap(found, truth, iou_thr=threshold)[1]]
                             for threshold in self.iou_thrs], axis=0)
        per_size = np.mean([ap(found, truth, list(ranges.values()), iou_thr=threshold)[0]
                            for threshold in self.iou_thrs], axis=0)
        self.per_class = dict(zip(self.dataset_meta['classes'], per_class.tolist()))
        self.per_size = dict(zip(ranges, per_size.tolist()))
        return metrics


def _one_class(found: Sequence, truth: Sequence) -> tuple[list, list]:
    """Splits an image into one for each of its classes, and gives all boxes one class."""
    pairs = [([boxes], dict(bboxes=image['bboxes'][of_class], labels=0 * image['labels'][of_class],
                            bboxes_ignore=image['bboxes_ignore'][ignored],
                            labels_ignore=0 * image['labels_ignore'][ignored]))
             for per_class, image in zip(found, truth)
             for label, boxes in enumerate(per_class)
             for of_class, ignored in [(image['labels'] == label, image['labels_ignore'] == label)]
             if len(boxes) or of_class.any()]
    return [boxes for boxes, _ in pairs], [image for _, image in pairs]


class DetailedIoUMetric(IoUMetric):
    """Keeps the IoU per class, in percent, and returns it as ``IoU/<class>`` as well."""
    per_class: dict[str, float]

    def compute_metrics(self, results: list) -> dict:
        metrics = super().compute_metrics(results)
        intersection, union = (sum(areas).double() for areas in list(zip(*results))[:2])
        self.per_class = dict(zip(self.dataset_meta['classes'],
                                  (100 * intersection / union).tolist()))
        found = {f'IoU/{name}': value for name, value in self.per_class.items()
                 if not np.isnan(value)}  # a class without objects has no value
        return {**metrics, **found}


_DETAILED = {VOCMetric: DetailedVOCMetric, IoUMetric: DetailedIoUMetric}
for _metric in _DETAILED.values():
    METRICS.register_module(module=_metric)


def detailed(evaluator: dict | list, scope: str | None = None) -> dict | list:
    """Replaces the metrics in the config of an evaluator by those that keep details."""
    if isinstance(evaluator, (list, tuple)):
        return [detailed(metric, scope) for metric in evaluator]
    if 'metrics' in evaluator:  # of type Evaluator
        return ConfigDict(evaluator, metrics=detailed(evaluator['metrics'], scope))
    kind = resolve(evaluator['type'], METRICS, scope)
    # With masks, CocoMetric gives their values the same names.
    if kind is CocoMetric and evaluator.get('metric', 'bbox') in ('bbox', ['bbox']):
        return ConfigDict(evaluator, classwise=True)
    if kind in _DETAILED and not evaluator.get('format_only'):
        return ConfigDict(evaluator, type=_DETAILED[kind].__name__)
    return evaluator


def details(metrics: list[BaseMetric], values: dict[str, float], classes: list[str]
            ) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """The values per class and per object size that an evaluation kept or returned."""
    per_class, per_size = dict[str, float](), dict[str, float]()
    for metric in metrics:
        per_class.update(getattr(metric, 'per_class', {}))
        per_size.update(getattr(metric, 'per_size', {}))
    for key, value in values.items():  # CocoMetric's
        name = key.split('/')[-1]
        if (label := name.removesuffix('_precision')) in classes:
            per_class[label] = value
        if name in COCO_SIZES:
            per_size[COCO_SIZES[name]] = value
    return _defined(per_class), _defined(per_size)


def _defined(values: dict[str, float]) -> dict[str, float | None]:
    """None for a class without objects, whose value is NaN."""
    return {label: None if np.isnan(value) else value for label, value in values.items()}

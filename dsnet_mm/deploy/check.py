"""Whether a file finds what the model's own ``predict`` finds."""
from collections.abc import Iterable

from dsnet_mm.config import scope_of
from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.graph import test_pipeline
from dsnet_mm.deploy.session import Session
from dsnet_mm.deploy.steps import name_of

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement

BOX_TOLERANCE = 0.1  # pixels of the full-size image
SCORE_TOLERANCE = 1e-3
TIE = 1e-4  # of the range of the scores: what is closer may fall either way


def check(session: Session, model: BaseModel, cfg: Config, images: Iterable[np.ndarray]) -> None:
    """Compares a file with the model it was written from.

    Args:
        session (Session): The file.
        model (BaseModel): The model.
        cfg (Config): Its config, whose test pipeline the images pass.
        images (Iterable[np.ndarray]): (H, W, 3), unsigned 8-bit, BGR.

    Raises:
        Disagrees: If a box differs by more than 0.1 pixel, a score by more than 1e-3, or a label,
            except for ties.
    """
    predictor = Predictor(model, cfg)
    compare = compare_boxes if session.metadata.task == 'detection' else compare_labels
    for number, image in enumerate(images):
        try:
            compare(session(image), predictor(image), session)
        except Disagrees as error:
            raise Disagrees(f'not written: on image {number} of {image.shape[0]}x{image.shape[1]} '
                            f'pixels {error}') from None


class Predictor:
    """What ``tools/test.py`` makes of an image: the test pipeline and the model's own ``predict``.

    Args:
        model (BaseModel): In evaluation mode.
        cfg (Config): Its config.
    """

    def __init__(self, model: BaseModel, cfg: Config) -> None:
        self.model = model
        steps = [step for step in test_pipeline(cfg) if 'Annotations' not in name_of(step)]
        self.scope = scope_of(cfg)
        # mmdet's and mmseg's know images that are no files.
        steps[0] = {**steps[0], 'type': f'{self.scope}.LoadImageFromNDArray'}
        with DefaultScope.overwrite_default_scope(self.scope):
            self.pipeline = Compose(steps)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> BaseDataElement:
        """The data sample with the predictions for an image (H, W, 3)."""
        with DefaultScope.overwrite_default_scope(self.scope):
            data = self.pipeline(dict(img=image.copy(), img_id=0))
            batch = {name: [value] for name, value in data.items()}
            return self.model.test_step(batch)[0]


def compare_boxes(found: dict[str, np.ndarray], sample: BaseDataElement,
                  session: Session) -> None:
    """Raises:
        Disagrees: If a detection of one side is none of the other. Those that lie within the
            tolerance of the score of the last place may be swapped for others.
    """
    expected = sample.pred_instances.numpy()
    order = np.argsort(-expected.scores, kind='stable')
    order = order[expected.scores[order] > 0]  # CenterNet fills up with no peaks
    boxes, scores, labels = (expected[name][order] for name in ('bboxes', 'scores', 'labels'))
    places = session.metadata.boxes or len(scores)
    last = scores[places - 1] if len(scores) >= places else -np.inf
    boxes, scores, labels = boxes[:places], scores[:places], labels[:places]
    free = np.ones(len(found['scores']), bool)
    for box, score, label in zip(boxes, scores, labels):
        near = free & (found['labels'] == label)
        offset = np.abs(found['boxes'] - box).max(axis=1, initial=0)
        change = np.abs(found['scores'] - score)
        fits = near & (offset <= BOX_TOLERANCE) & (change <= SCORE_TOLERANCE)
        if fits.any():
            free[np.flatnonzero(fits)[np.argmin(offset[fits])]] = False
        elif score > last + SCORE_TOLERANCE:
            raise Disagrees(_missing(box, score, label, near, offset, change))
    strange = free & (found['scores'] > last + SCORE_TOLERANCE)
    if strange.any():
        place = int(np.argmax(strange))
        raise Disagrees('it finds label {} at {} with score {:.4f}, the model does not'.format(
            found['labels'][place], found['boxes'][place].round(1).tolist(),
            found['scores'][place]))


def _missing(box: np.ndarray, score: float, label: int, near: np.ndarray, offset: np.ndarray,
             change: np.ndarray) -> str:
    what = (f'the model finds label {label} at {box.round(1).tolist()} with score {score:.4f}, the '
            'file ')
    if not near.any():
        return f'{what}none of this label'
    best = np.flatnonzero(near)[np.argmin(offset[near])]
    return (f'{what}at best one that is {offset[best]:.3g} pixels off and differs by '
            f'{change[best]:.3g} in its score')


def compare_labels(found: dict[str, np.ndarray], sample: BaseDataElement,
                   session: Session) -> None:
    """Raises:
        Disagrees: If a pixel has another label, and the model's scores of both are no tie.
    """
    expected = sample.pred_sem_seg.data[0].numpy()
    labels = found['labels'].astype(np.int64)
    if labels.shape != expected.shape:
        raise Disagrees(f'its label map is {labels.shape} instead of {expected.shape}')
    logits = sample.seg_logits.data.numpy()
    if len(logits) == 1:  # of one class: its probability, and a threshold
        logits = np.concatenate([1 - logits, logits])
    gap = logits.max(axis=0) - np.take_along_axis(logits, labels[None], axis=0)[0]
    wrong = (labels != expected) & ~(gap <= TIE * np.ptp(logits))
    if wrong.any():
        raise Disagrees(f'{wrong.mean():.2%} of the pixels have another label, by up to '
                        f'{gap[wrong].max():.3g} in scores from {logits.min():.3g} to '
                        f'{logits.max():.3g}')

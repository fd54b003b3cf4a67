"""Whether a file finds what a model finds; needs no PyTorch."""
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.runtime.session import Session

import numpy as np

Results = dict[str, np.ndarray]


class Tolerance(NamedTuple):
    """By how much a file may differ from its model.

    Attributes:
        box (float): Pixels of the full-size image.
        score (float): Of a detection.
        tie (float): Of the range of a segmenter's scores: what is closer may fall either way.
        detections (float): Of the sum of all scores, the share whose detections may differ by more:
            near a threshold there may be one more or less, and suppression may keep another of
            boxes that are nearly as good.
        pixels (float): Of all pixels, the share that may differ by more.
    """
    box: float
    score: float
    tie: float
    detections: float
    pixels: float


TOLERANCES = {'float32': Tolerance(0.1, 1e-3, 1e-4, 0, 0),
              'float16': Tolerance(1, 0.01, 0.01, 0.05, 1e-3)}


class Difference(NamedTuple):
    """The amount that differs in an image beyond the tolerance, and the whole amount: sums of
    detections' scores, or numbers of pixels."""
    wrong: float
    all: float
    example: str = ''


def compare(session: Session, predict: Callable[[np.ndarray], Results],
            images: Iterable[np.ndarray], threshold: float = -np.inf) -> None:
    """Compares a file with a model.

    Args:
        session (Session): The file.
        predict (Callable): What the model finds in an image: of detectors ``boxes`` (K, 4),
            ``scores`` and ``labels`` (K, ), of segmenters ``labels`` (H, W) and ``scores``
            (classes, H, W).
        images (Iterable[np.ndarray]): (H, W, 3), unsigned 8-bit, BGR.
        threshold (float): Score below which the model drops detections: rounding decides about
            those that lie on it.

    Raises:
        Disagrees: If a box or a score differs by more than the tolerance of the file's precision,
            or a label, except for ties.
    """
    tolerance = TOLERANCES[session.metadata.precision]
    boxes = session.metadata.task == 'detection'
    wrong, everything, example = 0., 0., ''
    for number, image in enumerate(images):
        found, expected = session(image), predict(image)
        difference = (compare_boxes(found, expected, session, tolerance, threshold) if boxes
                      else compare_labels(found, expected, tolerance))
        wrong, everything = wrong + difference.wrong, everything + difference.all
        if difference.wrong and not example:
            example = (f'on image {number} of {image.shape[0]}x{image.shape[1]} pixels '
                       f'{difference.example}')
    if wrong > everything * (tolerance.detections if boxes else tolerance.pixels):
        raise Disagrees(f'not written: {example}')


def compare_boxes(found: Results, expected: Results, session: Session, tolerance: Tolerance,
                  threshold: float) -> Difference:
    """The scores of detections of one side that are none of the other. Those that lie within the
    tolerance of the score of the last place, or of the threshold, may be swapped for others."""
    order = np.argsort(-expected['scores'], kind='stable')
    order = order[expected['scores'][order] > 0]  # CenterNet fills up with no peaks
    boxes, scores, labels = (expected[name][order] for name in ('boxes', 'scores', 'labels'))
    places = session.metadata.boxes or len(scores)
    last = scores[places - 1] if len(scores) >= places > 0 else threshold
    boxes, scores, labels = boxes[:places], scores[:places], labels[:places]
    free = np.ones(len(found['scores']), bool)
    missing, examples = 0., []
    for box, score, label in zip(boxes, scores, labels):
        near = free & (found['labels'] == label)
        offset = np.abs(found['boxes'] - box).max(axis=1, initial=0)
        change = np.abs(found['scores'] - score)
        fits = near & (offset <= tolerance.box) & (change <= tolerance.score)
        if fits.any():
            free[np.flatnonzero(fits)[np.argmin(offset[fits])]] = False
        elif score > last + tolerance.score:
            missing += score
            examples.append(_missing(box, score, label, near, offset, change))
    strange = free & (found['scores'] > last + tolerance.score)
    if strange.any():
        place = int(np.argmax(strange))
        examples.append('it finds label {} at {} with score {:.4f}, the model does not'.format(
            found['labels'][place], found['boxes'][place].round(1).tolist(),
            found['scores'][place]))
    wrong = max(missing, found['scores'][strange].sum())
    return Difference(float(wrong), float(scores.sum()), *examples[:1])


def _missing(box: np.ndarray, score: float, label: int, near: np.ndarray, offset: np.ndarray,
             change: np.ndarray) -> str:
    what = (f'the model finds label {label} at {box.round(1).tolist()} with score {score:.4f}, the '
            'file ')
    if not near.any():
        return f'{what}none of this label'
    best = np.flatnonzero(near)[np.argmin(offset[near])]
    return (f'{what}at best one that is {offset[best]:.3g} pixels off and differs by '
            f'{change[best]:.3g} in its score')


def compare_labels(found: Results, expected: Results, tolerance: Tolerance) -> Difference:
    """The pixels that have another label, where the model's scores of both are no tie.

    Raises:
        Disagrees: If the label map has another size.
    """
    labels = found['labels'].astype(np.int64)
    if labels.shape != expected['labels'].shape:
        raise Disagrees(f'not written: its label map is {labels.shape} instead of '
                        f'{expected["labels"].shape}')
    logits = expected['scores']
    if len(logits) == 1:  # of one class: its probability, and a threshold
        logits = np.concatenate([1 - logits, logits])
    gap = logits.max(axis=0) - np.take_along_axis(logits, labels[None], axis=0)[0]
    wrong = (labels != expected['labels']) & ~(gap <= tolerance.tie * np.ptp(logits))
    if not wrong.any():
        return Difference(0, wrong.size)
    return Difference(int(wrong.sum()), wrong.size, (
        f'{wrong.mean():.2%} of the pixels have another label, by up to {gap[wrong].max():.3g} in '
        f'scores from {logits.min():.3g} to {logits.max():.3g}'))

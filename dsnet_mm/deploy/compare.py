"""Whether a file finds what a model finds; needs no PyTorch."""
from collections.abc import Callable, Iterable

from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.session import Session

import numpy as np

BOX_TOLERANCE = 0.1  # pixels of the full-size image
SCORE_TOLERANCE = 1e-3
TIE = 1e-4  # of the range of the scores: what is closer may fall either way


Results = dict[str, np.ndarray]


def compare(session: Session, predict: Callable[[np.ndarray], Results],
            images: Iterable[np.ndarray]) -> None:
    """Compares a file with a model.

    Args:
        session (Session): The file.
        predict (Callable): What the model finds in an image: of detectors ``boxes`` (K, 4),
            ``scores`` and ``labels`` (K, ), of segmenters ``labels`` (H, W) and ``scores``
            (classes, H, W).
        images (Iterable[np.ndarray]): (H, W, 3), unsigned 8-bit, BGR.

    Raises:
        Disagrees: If a box differs by more than 0.1 pixel, a score by more than 1e-3, or a label,
            except for ties.
    """
    each = compare_boxes if session.metadata.task == 'detection' else compare_labels
    for number, image in enumerate(images):
        try:
            each(session(image), predict(image), session)
        except Disagrees as error:
            raise Disagrees(f'not written: on image {number} of {image.shape[0]}x{image.shape[1]} '
                            f'pixels {error}') from None


def compare_boxes(found: Results, expected: Results, session: Session) -> None:
    """Raises:
        Disagrees: If a detection of one side is none of the other. Those that lie within the
            tolerance of the score of the last place may be swapped for others.
    """
    order = np.argsort(-expected['scores'], kind='stable')
    order = order[expected['scores'][order] > 0]  # CenterNet fills up with no peaks
    boxes, scores, labels = (expected[name][order] for name in ('boxes', 'scores', 'labels'))
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


def compare_labels(found: Results, expected: Results, session: Session) -> None:
    """Raises:
        Disagrees: If a pixel has another label, and the model's scores of both are no tie.
    """
    labels = found['labels'].astype(np.int64)
    if labels.shape != expected['labels'].shape:
        raise Disagrees(f"its label map is {labels.shape} instead of {expected['labels'].shape}")
    logits = expected['scores']
    if len(logits) == 1:  # of one class: its probability, and a threshold
        logits = np.concatenate([1 - logits, logits])
    gap = logits.max(axis=0) - np.take_along_axis(logits, labels[None], axis=0)[0]
    wrong = (labels != expected['labels']) & ~(gap <= TIE * np.ptp(logits))
    if wrong.any():
        raise Disagrees(f'{wrong.mean():.2%} of the pixels have another label, by up to '
                        f'{gap[wrong].max():.3g} in scores from {logits.min():.3g} to '
                        f'{logits.max():.3g}')

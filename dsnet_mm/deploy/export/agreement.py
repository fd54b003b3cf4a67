"""Whether an exported file agrees with its model; needs no PyTorch."""
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.runtime.session import Session

import numpy as np

Outputs = dict[str, np.ndarray]


class Tolerance(NamedTuple):
    """The largest accepted differences between a file and its model.

    Attributes:
        box (float): Of a coordinate, in pixels of the input image.
        score (float): Of a detection.
        tie (float): Relative to the range of a segmenter's logits: classes whose logits differ by
            less may be swapped.
        detections (float): The share of the sum of all scores that may belong to detections with
            larger differences: near the score threshold one more or one fewer may be found, and
            suppression may keep another of two boxes with nearly equal scores.
        pixels (float): The share of pixels that may have another label without a tie.
    """
    box: float
    score: float
    tie: float
    detections: float
    pixels: float


TOLERANCES = {'float32': Tolerance(0.1, 1e-3, 1e-4, 0, 0),
              'float16': Tolerance(1, 0.01, 0.01, 0.05, 1e-3)}


class Difference(NamedTuple):
    """How much of an image differs by more than the tolerance, and the total: sums of scores of
    detections, or numbers of pixels."""
    wrong: float
    total: float
    example: str = ''


def check_agreement(session: Session, predict: Callable[[np.ndarray], Outputs],
                    images: Iterable[np.ndarray], threshold: float = -np.inf) -> None:
    """Checks that a file and a model find the same in some images.

    Args:
        session (Session): The file.
        predict (Callable): The model, from an image to ``boxes`` (K, 4), ``scores`` and ``labels``
            (K, ) of a detector, or ``labels`` (H, W) and ``scores`` (classes, H, W) of a segmenter.
        images (Iterable[np.ndarray]): (H, W, 3), uint8, BGR.
        threshold (float): The score threshold of a detector: near it, rounding decides whether a
            detection is found.

    Raises:
        Disagrees: If they differ by more than the tolerance of the file's precision.
    """
    tolerance = TOLERANCES[session.metadata.precision]
    is_detector = session.metadata.task == 'detection'
    wrong, total, example = 0., 0., ''
    for index, image in enumerate(images):
        found, expected = session(image), predict(image)
        difference = (compare_boxes(found, expected, session, tolerance, threshold) if is_detector
                      else compare_labels(found, expected, tolerance))
        wrong, total = wrong + difference.wrong, total + difference.total
        if difference.wrong and not example:
            example = (f'on image {index} of {image.shape[0]}x{image.shape[1]} pixels '
                       f'{difference.example}')
    if wrong > total * (tolerance.detections if is_detector else tolerance.pixels):
        raise Disagrees(f'not written: {example}')


def compare_boxes(found: Outputs, expected: Outputs, session: Session, tolerance: Tolerance,
                  threshold: float) -> Difference:
    """Matches the detections of both sides. One whose score is within the tolerance of the score
    threshold, or of the lowest score that fits into the file's number of boxes, may be missing."""
    order = np.argsort(-expected['scores'], kind='stable')
    order = order[expected['scores'][order] > 0]  # CenterNet pads with scores of 0
    boxes, scores, labels = (expected[name][order] for name in ('boxes', 'scores', 'labels'))
    limit = session.metadata.boxes or len(scores)
    lowest = scores[limit - 1] if len(scores) >= limit > 0 else threshold
    boxes, scores, labels = boxes[:limit], scores[:limit], labels[:limit]
    unmatched = np.ones(len(found['scores']), bool)
    missing, examples = 0., []
    for box, score, label in zip(boxes, scores, labels):
        candidates = unmatched & (found['labels'] == label)
        offset = np.abs(found['boxes'] - box).max(axis=1, initial=0)
        change = np.abs(found['scores'] - score)
        fits = candidates & (offset <= tolerance.box) & (change <= tolerance.score)
        if fits.any():
            unmatched[np.flatnonzero(fits)[np.argmin(offset[fits])]] = False
        elif score > lowest + tolerance.score:
            missing += score
            text = f'the model finds label {label} at {box.round(1).tolist()} with score ' \
                   f'{score:.4f}, the file '
            if candidates.any():
                best = np.flatnonzero(candidates)[np.argmin(offset[candidates])]
                text += (f'at best one that is {offset[best]:.3g} pixels off and differs by '
                         f'{change[best]:.3g} in its score')
            examples.append(text if candidates.any() else f'{text}none of this label')
    extra = unmatched & (found['scores'] > lowest + tolerance.score)
    if extra.any():
        index = int(np.argmax(extra))
        label, box, score = (found[name][index] for name in ('labels', 'boxes', 'scores'))
        examples.append(f'the file finds label {label} at {box.round(1).tolist()} with score '
                        f'{score:.4f}, the model does not')
    wrong = max(missing, found['scores'][extra].sum())
    return Difference(float(wrong), float(scores.sum()), *examples[:1])


def compare_labels(found: Outputs, expected: Outputs, tolerance: Tolerance) -> Difference:
    """Counts the pixels that have another label, except where the model's logits are a tie.

    Raises:
        Disagrees: If the label map has another size.
    """
    labels = found['labels'].astype(np.int64)
    if labels.shape != expected['labels'].shape:
        raise Disagrees(f'not written: its label map is {labels.shape} instead of '
                        f'{expected["labels"].shape}')
    logits = expected['scores']
    if len(logits) == 1:  # a binary segmenter: the probability of the foreground
        logits = np.concatenate([1 - logits, logits])
    gap = logits.max(axis=0) - np.take_along_axis(logits, labels[None], axis=0)[0]
    wrong = (labels != expected['labels']) & ~(gap <= tolerance.tie * np.ptp(logits))
    if not wrong.any():
        return Difference(0, wrong.size)
    return Difference(int(wrong.sum()), wrong.size, (
        f'{wrong.mean():.2%} of the pixels have another label, by up to {gap[wrong].max():.3g} in '
        f'scores from {logits.min():.3g} to {logits.max():.3g}'))

"""Drawing results on images."""
from dsnet_mm.deploy.runtime.metadata import Metadata

import cv2
import numpy as np


def draw(image: np.ndarray, outputs: dict[str, np.ndarray], metadata: Metadata,
         score_thr: float) -> np.ndarray:
    """Draws the boxes above a score, or a label map, on an image (H, W, 3), BGR."""
    if metadata.task == 'segmentation':
        return draw_labels(image, outputs['labels'], metadata.palette)
    kept = outputs['scores'] >= score_thr
    return draw_boxes(image, {name: value[kept] for name, value in outputs.items()}, metadata)


def draw_labels(image: np.ndarray, labels: np.ndarray, palette: list[list[int]]) -> np.ndarray:
    """Blends an image equally with the colours of its labels (H, W)."""
    colours = np.zeros((max(256, len(palette)), 3), np.uint8)
    colours[:len(palette)] = np.array(palette, np.uint8)[:, ::-1]  # RGB to BGR
    return cv2.addWeighted(image, 0.5, colours[labels], 0.5, 0)


def draw_boxes(image: np.ndarray, outputs: dict[str, np.ndarray],
               metadata: Metadata) -> np.ndarray:
    """Draws boxes with their class and score; those of high score over the others."""
    drawn = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 400))
    font_scale = max(0.35, max(image.shape[:2]) / 1600)
    for box, score, label in reversed(list(zip(*(outputs[name] for name in (
            'boxes', 'scores', 'labels'))))):
        colour = metadata.palette[label][::-1]
        x1, y1, x2, y2 = (int(value) for value in box.round())
        cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, thickness)
        text = f'{metadata.classes[label]} {score:.2f}'
        (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, font_scale, 1)
        top = max(y1, h + below)
        cv2.rectangle(drawn, (x1, top - h - below), (x1 + w, top), colour, cv2.FILLED)
        ink = (0, 0, 0) if sum(colour) > 382 else (255, 255, 255)
        cv2.putText(drawn, text, (x1, top - below // 2), cv2.FONT_HERSHEY_SIMPLEX, font_scale,
                    ink, 1, cv2.LINE_AA)
    return drawn

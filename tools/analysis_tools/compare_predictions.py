"""Draws a part of one validation image as each resizer of a finished comparison resizes it, with
the true positives, false negatives and false positives of the segmenter trained on it.
"""
import argparse
from pathlib import Path
from typing import NamedTuple

from dsnet_mm.comparison.collect import load_dataset, load_model
from dsnet_mm.comparison.runs import Run
from dsnet_mm.visualization import image_to_rgb

import matplotlib
import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

matplotlib.use('Agg')
FOUND, MISSED, WRONG = (255, 255, 255), (230, 60, 60), (70, 130, 255)


class Prediction(NamedTuple):
    """The resized image of a variant, and the prediction on it.

    Attributes:
        resized (np.ndarray): (h, w, 3) the resized image, RGB, unsigned 8-bit.
        found (np.ndarray): (H, W) where the class is predicted.
        truth (np.ndarray): (H, W) where the class is.
        known (np.ndarray): (H, W) where the ground truth is not ignored.
    """
    resized: np.ndarray
    found: np.ndarray
    truth: np.ndarray
    known: np.ndarray

    @property
    def iou(self) -> float:
        """Intersection over union in this image, in percent."""
        either = (self.found | self.truth) & self.known
        return 100 * (self.found & self.truth).sum() / max(1, either.sum())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', type=Path,
                        help='folder of a finished comparison')
    parser.add_argument('--variants', nargs='+', metavar='VARIANT',
                        default=['bilinear', 'antialias', 'downsizenet-v2'])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--image', type=int, default=0, help='index in the validation set')
    parser.add_argument('--label', type=int, default=1, help='the class to draw')
    parser.add_argument('--part', type=int, nargs=4, metavar=('X', 'Y', 'W', 'H'),
                        help='in pixels of the input image (default: all)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/predictions.png'))
    return parser.parse_args()


@torch.no_grad()
def predict(run: Run, index: int, label: int) -> tuple[np.ndarray, Prediction]:
    """The input image (H, W, 3), RGB, and the prediction of a run's model on it."""
    model = load_model(run)
    dataset = load_dataset(Config.fromfile(run.config_file))
    if not 0 <= index < len(dataset):
        raise SystemExit(f'there is no image {index}: the validation set has {len(dataset)}')
    batch = pseudo_collate([dataset[index]])
    [resized] = model.data_preprocessor.resize(model.data_preprocessor.cast_data(batch['inputs']))
    [sample] = model.test_step(batch)
    if 'pred_sem_seg' not in sample:
        raise SystemExit(f'{run.config_file} has no segmenter: see the pictures in report.html')
    found, truth = (map_.data[0].cpu().numpy() for map_ in (sample.pred_sem_seg, sample.gt_sem_seg))
    image = mmcv.imread(sample.img_path, channel_order='rgb')
    return image, Prediction(image_to_rgb(resized), found == label, truth == label, truth != 255)


def colors(prediction: Prediction) -> np.ndarray:
    """The found, missed and wrong pixels in colours: (H, W, 3), RGB."""
    found, truth, known, picture = (prediction.found, prediction.truth, prediction.known,
                                    np.zeros((*prediction.found.shape, 3), np.uint8))
    for where, color in ((found & truth, FOUND), (~found & truth, MISSED), (found & ~truth, WRONG)):
        picture[where & known] = color
    return picture


def draw(image: np.ndarray, predictions: dict[str, Prediction],
         part: tuple[int, int, int, int]) -> Figure:
    """The figure: the input image and the ground truth, then a column for each variant."""
    x, y, width, height = part
    figure = Figure(figsize=(2.4 * (1 + len(predictions)), 2.4 * 2 * height / width + 0.6),
                    layout='constrained')
    axes = figure.subplots(2, 1 + len(predictions), squeeze=False)
    size = image.shape[:2]

    def show(row: int, column: int, picture: np.ndarray, title: str) -> None:
        ax = axes[row, column]
        ax.imshow(picture, extent=(0, size[1], size[0], 0), interpolation='nearest')
        ax.set(xlim=(x, x + width), ylim=(y + height, y), xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)

    first = next(iter(predictions.values()))
    show(0, 0, image, f'input image, {size[0]}×{size[1]}')
    show(1, 0, colors(first._replace(found=first.truth)), 'ground truth')
    for column, (variant, prediction) in enumerate(predictions.items(), start=1):
        resized = prediction.resized
        show(0, column, resized, f'{variant}, {resized.shape[0]}×{resized.shape[1]}')
        show(1, column, colors(prediction), f'IoU of the whole image {prediction.iou:.1f}%')
    axes[1, 0].set_xlabel('white: found, red: missed, blue: wrong', fontsize=8)
    return figure


def main() -> None:
    args = parse_args()
    predictions = {}
    for variant in args.variants:
        folder = args.work_dir / f'runs/{variant}-seed{args.seed}'
        run = Run(variant, args.seed, {}, folder, '', 0, '')
        if run.checkpoint() is None:
            raise SystemExit(f'{folder} has no checkpoint: choose --variants and --seed of a '
                             'finished comparison')
        image, predictions[variant] = predict(run, args.image, args.label)
    part = args.part or (0, 0, image.shape[1], image.shape[0])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(image, predictions, part).savefig(args.out, dpi=110)
    print(args.out)


if __name__ == '__main__':
    main()

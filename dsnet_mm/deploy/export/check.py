"""Whether a file finds what the model's own ``predict`` finds."""
from collections.abc import Iterable

from dsnet_mm.config import scope_of
from dsnet_mm.deploy.export.compare import Results, compare
from dsnet_mm.deploy.export.graph import test_pipeline
from dsnet_mm.deploy.export.steps import name_of
from dsnet_mm.deploy.runtime.session import Session

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement


def check(session: Session, model: BaseModel, cfg: Config, images: Iterable[np.ndarray]) -> None:
    """Compares a file with the model it was written from.

    Args:
        session (Session): The file.
        model (BaseModel): The model.
        cfg (Config): Its config, whose test pipeline the images pass.
        images (Iterable[np.ndarray]): (H, W, 3), unsigned 8-bit, BGR.

    Raises:
        Disagrees: If they differ by more than :func:`~dsnet_mm.deploy.export.compare.compare`
            allows.
    """
    predictor = Predictor(model, cfg)
    test_cfg = getattr(model, 'test_cfg', None) or {}
    threshold = test_cfg.get('rcnn', test_cfg).get('score_thr', -np.inf)
    compare(session, lambda image: results_of(predictor(image)), images, threshold)


class Predictor:
    """Predicts as ``tools/test.py`` does: the test pipeline and the model's own ``predict``.

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


def results_of(sample: BaseDataElement) -> Results:
    """The predictions of a data sample, as a file names them."""
    if 'pred_sem_seg' in sample:
        return dict(labels=sample.pred_sem_seg.data[0].numpy(),
                    scores=sample.seg_logits.data.numpy())
    found = sample.pred_instances.numpy()
    return dict(boxes=found.bboxes, scores=found.scores, labels=found.labels)

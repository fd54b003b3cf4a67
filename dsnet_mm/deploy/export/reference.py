"""The model's own predictions, as ``tools/test.py`` makes them, with which a file must agree."""
from collections.abc import Iterable

from dsnet_mm.config import scope_of
from dsnet_mm.deploy.export.agreement import Outputs, check_agreement
from dsnet_mm.deploy.export.preprocessing import step_name, test_pipeline
from dsnet_mm.deploy.runtime.session import Session

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope


class Predictor:
    """Predicts with the test pipeline and the model's own ``predict``.

    Args:
        model (BaseModel): In evaluation mode.
        cfg (Config): Its config.
    """

    def __init__(self, model: BaseModel, cfg: Config) -> None:
        self.model = model
        steps = [step for step in test_pipeline(cfg) if 'Annotations' not in step_name(step)]
        self.scope = scope_of(cfg)
        # The image is an array instead of a file.
        steps[0] = {**steps[0], 'type': f'{self.scope}.LoadImageFromNDArray'}
        with DefaultScope.overwrite_default_scope(self.scope):
            self.pipeline = Compose(steps)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> Outputs:
        """The predictions for an image (H, W, 3), named as the outputs of a file."""
        with DefaultScope.overwrite_default_scope(self.scope):
            data = self.pipeline(dict(img=image.copy(), img_id=0))
            [sample] = self.model.test_step({name: [value] for name, value in data.items()})
        if 'pred_sem_seg' in sample:
            return dict(labels=sample.pred_sem_seg.data[0].numpy(),
                        scores=sample.seg_logits.data.numpy())
        instances = sample.pred_instances.numpy()
        return dict(boxes=instances.bboxes, scores=instances.scores, labels=instances.labels)


def check_against_model(session: Session, model: BaseModel, cfg: Config,
                        images: Iterable[np.ndarray]) -> None:
    """Checks that a file agrees with the model from which it was written.

    Args:
        session (Session): The file.
        model (BaseModel): The model.
        cfg (Config): Its config.
        images (Iterable[np.ndarray]): (H, W, 3), uint8, BGR.

    Raises:
        Disagrees: If they differ by more than the tolerance of the file's precision.
    """
    test_cfg = getattr(model, 'test_cfg', None) or {}
    threshold = test_cfg.get('rcnn', test_cfg).get('score_thr', -np.inf)
    check_agreement(session, Predictor(model, cfg), images, threshold)

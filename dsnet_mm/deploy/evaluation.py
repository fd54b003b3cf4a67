"""The metrics of exported files on the test data of their config."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsnet_mm.config import in_scope, scope_of
from dsnet_mm.deploy.export.preprocessing import test_pipeline
from dsnet_mm.deploy.runtime.images import read_image
from dsnet_mm.deploy.runtime.session import Session

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import InstanceData, PixelData


def build_dataset(cfg: Config) -> BaseDataset:
    """The test data set of a config.

    Raises:
        CannotExport: If it has none.
    """
    test_pipeline(cfg)  # raises if there is no test data set
    with in_scope(cfg, DATASETS) as registry:
        return registry.build(cfg.test_dataloader.dataset)


def evaluate(session: Session, cfg: Config, dataset: BaseDataset,
             done: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The metrics that ``tools/test.py`` computes, for the predictions of a file.

    Args:
        session (Session): The file.
        cfg (Config): Its ``test_evaluator`` is used.
        dataset (BaseDataset): Of :func:`build_dataset`.
        done (Callable): Called after each image.

    Raises:
        OSError: If an image cannot be read.
        ValueError: If the classes of the file are not those of the data set.
    """
    classes = dataset.metainfo.get('classes') or ()
    classes = [classes] if isinstance(classes, str) else list(classes)
    if session.metadata.classes != classes:
        raise ValueError(f'the file has the classes {session.metadata.classes}, the test data have '
                         f'{classes}: give the config with which it was exported')
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            data = dataset[index]
            sample = data['data_samples']
            found = {name: torch.from_numpy(value)
                     for name, value in session(read_image(Path(sample.img_path))).items()}
            if session.metadata.task == 'segmentation':
                sample.pred_sem_seg = PixelData(data=found['labels'].long()[None])
            else:
                sample.pred_instances = InstanceData(
                    bboxes=found['boxes'], scores=found['scores'], labels=found['labels'])
            evaluator.process([sample], data)
            done()
        return evaluator.evaluate(len(dataset))

"""The paper's settings: their pipelines, and a step and a prediction of the real architectures."""
import copy
import resource
from pathlib import Path

from dsnet_mm import FixedResizer
from dsnet_mm.config import build_model, load_config

import cv2
import mmseg.datasets  # noqa: F401  (registers its transforms)
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
BILINEAR = {'model.data_preprocessor.resizer.type': 'FixedResizer'}
FILES = [(375, 500), (500, 334)]  # height and width of two images on disk
# config, and the size of their batch at low resolution
PIPELINES = {
    'refinedet/refinedet_vgg16_voc07-300to160': (160, 160),
    'centernet/centernet_r18-dcnv2_voc07-300to160': (160, 160),
    'detr/detr_r101_coco-300to165': (165, 165),
    'lighthead/lighthead_vgg16_voc07-300to165': (247, 220),
    'fcn/fcn8s_vgg16_voc12-to100': (100, 100),
    'deeplabv3plus/deeplabv3plus_r101-d8_cityscapes-513to179': (179, 179),
    'spnet/spnet_r50-d8_cityscapes-768to230': (230, 230),
}


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> list[dict]:
    """Two images with a label map and two objects each, as a data set lists them."""
    folder, generator = tmp_path_factory.mktemp('files'), np.random.default_rng(0)
    infos = []
    for i, (height, width) in enumerate(FILES):
        image = generator.integers(0, 256, (height, width, 3), np.uint8)
        labels = generator.integers(0, 19, (height // 25, width // 25), np.uint8)
        labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        paths = [str(folder / f'{kind}{i}.png') for kind in ('image', 'labels')]
        for path, content in zip(paths, (image, labels)):
            assert cv2.imwrite(path, content)
        boxes = [[20, 30, 200, 220], [100, 50, 180, 90]]
        infos.append(dict(
            img_path=paths[0], img_id=i, height=height, width=width,
            instances=[dict(bbox=box, bbox_label=3, ignore_flag=0) for box in boxes],
            seg_map_path=paths[1], reduce_zero_label=False, seg_fields=[]))
    return infos


def load(cfg: Config, dataloader: str, files: list[dict]) -> list[dict]:
    dataset = cfg[dataloader].dataset
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        pipeline = Compose(dataset.pipeline)
        return [pipeline(copy.deepcopy(info)) for info in files]


@pytest.mark.parametrize('options', [{}, BILINEAR], ids=['downsizenet', 'bilinear'])
@pytest.mark.parametrize('path', PIPELINES)
def test_one_step_and_one_prediction(path, options, files):
    cfg = load_config(str(CONFIGS / f'{path}.py'), options)
    if 'rcnn' in (cfg.model.test_cfg or {}):
        cfg.model.test_cfg.rcnn.score_thr = 0.0  # untrained: no score stands out
    model = revert_sync_batchnorm(build_model(cfg))
    batch = pseudo_collate(load(cfg, 'train_dataloader', files))
    assert model.data_preprocessor(batch, True)['inputs'].shape == (2, 3, *PIPELINES[path])
    losses = model.train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
    assert all(value.isfinite().all() for value in losses.values())
    resizer = model.data_preprocessor.resizer
    if options:
        assert isinstance(resizer, FixedResizer) and resizer.mode == 'bilinear'
    else:  # zero at the start
        assert resizer.logits.weight.any()

    model.eval()
    with torch.no_grad():
        for size, item in zip(FILES, load(cfg, 'val_dataloader', files)):
            result, = model.test_step(pseudo_collate([item]))
            assert result.ori_shape == size
            if 'pred_instances' in result:
                boxes = result.pred_instances.bboxes
                assert boxes.isfinite().all() and len(boxes) > 0
            else:
                assert result.pred_sem_seg.shape == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8 * 2**20  # kilobytes


PAPER = sorted(path for path in CONFIGS.glob('*/*.py')
               if path.parent.name not in ('_base_', 'mini'))


@pytest.mark.parametrize('path', PAPER, ids=[path.stem for path in PAPER])
def test_loops_hooks_and_schedules_count_alike(path):
    cfg = load_config(str(path))
    by_epoch = cfg.train_cfg.type == 'EpochBasedTrainLoop'
    # mmengine's hooks and log processor count epochs unless told otherwise.
    assert cfg.default_hooks.checkpoint.get('by_epoch', True) == by_epoch
    assert cfg.get('log_processor', {}).get('by_epoch', True) == by_epoch
    length = cfg.train_cfg.max_epochs if by_epoch else cfg.train_cfg.max_iters
    for scheduler in cfg.param_scheduler:
        if scheduler.type != 'LinearLR':  # a warm-up counts iterations
            assert scheduler.get('by_epoch', True) == by_epoch
            assert scheduler.end == length
            assert max(scheduler.get('milestones', [0])) < length
    assert cfg.val_dataloader.dataset.pipeline == cfg.test_dataloader.dataset.pipeline
    assert cfg.val_cfg.type == 'ValLoop' and cfg.test_cfg.type == 'TestLoop'
    assert cfg.val_evaluator and cfg.test_evaluator

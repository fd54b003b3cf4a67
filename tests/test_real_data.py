"""The mini configs on the real data sets: the loading code, a training step and a prediction."""
import xml.etree.ElementTree as ET
from pathlib import Path

from dsnet_mm.config import build_model, load_config

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, DefaultScope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/mini'


# training, validation
SIZES = {'cards': (236, 60), 'bccd': (205, 87), 'fod': (2000, 800), 'pcb': (600, 200),
         'camvid': (367, 101)}
MINI = sorted(path.stem for path in CONFIGS.glob('*/*.py') if path.stem.split('_')[-1] in SIZES)


def test_every_pipeline_is_here():
    detectors, segmenters = ('refinedet', 'centernet', 'detr', 'lighthead'), (
        'fcn', 'deeplabv3plus', 'spnet')
    assert set(MINI) == {*(f'{name}_{data}' for name in detectors for data in ('cards', 'bccd')),
                         *(f'{name}_camvid' for name in segmenters),
                         # with ImageNet's weights
                         *(f'{name}-mobilenetv2_{data}' for name in ('atss', 'yolox', 'centernet')
                           for data in ('fod', 'cards', 'bccd')),
                         'atss-mobilenetv2_pcb',
                         *(f'{name}-mobilenetv2_camvid' for name in ('deeplabv3plus', 'fcn')),
                         # labels at high resolution
                         'unet_camvid', 'unet-guided_camvid',
                         'deeplabv3plus-mobilenetv2-guided_camvid',
                         # learned interpolation in a neck, a feature pyramid, a decoder
                         'fpn_camvid', 'atss_cards', 'deeplabv3plus-learned_camvid'}


@pytest.mark.parametrize('config', MINI)
def test_real_images(config, data_root, request):
    if 'mobilenetv2' in config:
        request.getfixturevalue('pretrained')
    name = config.split('_')[-1]
    cfg = load_config(str(CONFIGS / f'{name}/{config}.py'), dict(data_root=f'{data_root / name}/'))
    if 'rcnn' in (cfg.model.test_cfg or {}):
        cfg.model.test_cfg.rcnn.score_thr = 0.0  # untrained: no score stands out
    if config.startswith(('atss', 'yolox')):
        cfg.model.test_cfg.update(score_thr=0.0, max_per_img=1000)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
            train_set = registry.build(cfg.train_dataloader.dataset)
            val_set = registry.build(cfg.val_dataloader.dataset)
    torch.manual_seed(0)
    model = build_model(cfg)
    model.init_weights()
    assert (len(train_set), len(val_set)) == SIZES[name]

    before = [p.clone() for p in model.data_preprocessor.resizer.parameters()]
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), 1e-3))
    for start in (0, 2):  # the resizer's last layer starts at zero and moves first, then the rest
        losses = model.train_step(pseudo_collate([train_set[start], train_set[start + 1]]),
                                  optimizer)
        assert all(value.isfinite() for value in losses.values())
    after = model.data_preprocessor.resizer.parameters()
    assert not any(torch.equal(p, q) for p, q in zip(before, after))

    sample = val_set[0]
    with torch.no_grad():
        result = model.eval().test_step(pseudo_collate([sample]))[0]
    if 'pred_sem_seg' in result:
        assert result.pred_sem_seg.shape == result.ori_shape
        assert torch.equal(result.gt_sem_seg.data, sample['data_samples'].gt_sem_seg.data)
    else:
        height, width = result.ori_shape
        boxes = result.pred_instances.bboxes
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        # An untrained YOLOX predicts centers next to its cells, and its first cells lie on the
        # border.
        slack = 0.1 * width if config.startswith('yolox') else 1
        assert (centers > -slack).all()
        assert (centers < torch.tensor([width, height]) + slack).all()
        # The boxes reach over the whole original image, not over a corner of it.
        assert (boxes[:, 2:].amax(0) > 0.6 * torch.tensor([width, height])).all()


def test_class_weights_of_camvid(data_root):
    counts = sum(np.bincount(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).ravel(), minlength=256)
                 for path in (data_root / 'camvid/ann_dir/train').glob('*.png'))[:11]
    weights = 1 / np.log(1.02 + counts / counts.sum())
    for name in ('deeplabv3plus', 'fcn'):
        head = load_config(str(CONFIGS / f'camvid/{name}-mobilenetv2_camvid.py')).model.decode_head
        assert head.loss_decode.class_weight == pytest.approx(weights / weights.mean(), abs=6e-4)


@pytest.mark.parametrize('name', ['fod', 'pcb'])
def test_classes(name, data_root):
    names = {node.findtext('name') for path in (data_root / f'{name}/Annotations').glob('*.xml')
             for node in ET.parse(path).iter('object')}
    cfg = load_config(str(CONFIGS / f'{name}/atss-mobilenetv2_{name}.py'))
    assert set(cfg.metainfo.classes) == names

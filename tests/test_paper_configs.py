"""The paper's settings on the real architectures: one training step and one prediction."""
from pathlib import Path

from dsnet_mm.config import load_config

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
BILINEAR = {'model.data_preprocessor.resizer.type': 'FixedResizer'}


def det_sample() -> DetDataSample:
    sample = DetDataSample(metainfo=dict(
        img_shape=(300, 300), ori_shape=(375, 500), scale_factor=(0.6, 0.8),
        border=[0, 300, 0, 300]))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[20., 30., 200., 220.]]), labels=torch.tensor([3]))
    return sample


def seg_sample() -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_shape=(513, 513), ori_shape=(513, 513)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, 513, 513)))
    return sample


@pytest.mark.parametrize('options', [{}, BILINEAR], ids=['downsizenet', 'bilinear'])
@pytest.mark.parametrize('path, sample, size_in, size_out', [
    ('centernet/centernet_r18-dcnv2_voc07-300to160.py', det_sample, 300, 160),
    ('deeplabv3plus/deeplabv3plus_r101-d8_cityscapes-513to179.py', seg_sample, 513, 179)])
def test_one_step_and_one_prediction(path, sample, size_in, size_out, options):
    cfg = load_config(str(CONFIGS / path), options)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            model = revert_sync_batchnorm(registry.build(cfg.model))
    batch = dict(inputs=[torch.randint(0, 256, (3, size_in, size_in)).byte() for _ in range(2)],
                 data_samples=[sample(), sample()])
    assert model.data_preprocessor(batch, True)['inputs'].shape == (2, 3, size_out, size_out)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3))
    losses = model.train_step(batch, optimizer)
    assert all(value.isfinite().all() for value in losses.values())
    with torch.no_grad():
        result = model.eval().test_step(batch)[0]
    if 'pred_instances' in result:
        assert len(result.pred_instances) == 100
    else:
        assert result.pred_sem_seg.shape == (513, 513)

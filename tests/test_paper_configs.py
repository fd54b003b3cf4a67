"""The paper's settings on the real architectures: one training step and one prediction."""
import resource
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
# config, sizes of two images at high resolution, size of the batch at low resolution
PIPELINES = [
    ('refinedet/refinedet_vgg16_voc07-300to160', [(300, 300)] * 2, (160, 160)),
    ('centernet/centernet_r18-dcnv2_voc07-300to160', [(300, 300)] * 2, (160, 160)),
    ('detr/detr_r101_coco-300to165', [(300, 300)] * 2, (165, 165)),
    ('lighthead/lighthead_vgg16_voc07-300to165', [(300, 400), (450, 300)], (248, 220)),
    ('fcn/fcn8s_vgg16_voc12-to100', [(375, 500), (334, 211)], (100, 100)),
    ('deeplabv3plus/deeplabv3plus_r101-d8_cityscapes-513to179', [(513, 513)] * 2, (179, 179)),
    ('spnet/spnet_r50-d8_cityscapes-768to230', [(768, 768)] * 2, (230, 230)),
]


def det_sample(height: int, width: int) -> DetDataSample:
    sample = DetDataSample(metainfo=dict(
        img_shape=(height, width), ori_shape=(2 * height, 2 * width), scale_factor=(0.5, 0.5),
        border=[0, height, 0, width]))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[20., 30., 200., 220.]]), labels=torch.tensor([3]))
    return sample


def seg_sample(height: int, width: int) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, height, width)))
    return sample


@pytest.mark.parametrize('options', [{}, BILINEAR], ids=['downsizenet', 'bilinear'])
@pytest.mark.parametrize('path, sizes, low', PIPELINES, ids=[row[0] for row in PIPELINES])
def test_one_step_and_one_prediction(path, sizes, low, options):
    cfg = load_config(str(CONFIGS / f'{path}.py'), options)
    if 'rcnn' in (cfg.model.test_cfg or {}):
        cfg.model.test_cfg.rcnn.score_thr = 0.0  # untrained: no score stands out
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            model = revert_sync_batchnorm(registry.build(cfg.model))
    make_sample = det_sample if cfg.default_scope == 'mmdet' else seg_sample
    batch = dict(inputs=[torch.randint(0, 256, (3, *size)).byte() for size in sizes],
                 data_samples=[make_sample(*size) for size in sizes])
    assert model.data_preprocessor(batch, True)['inputs'].shape == (2, 3, *low)
    before = [p.clone() for p in model.data_preprocessor.parameters()]
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3))
    losses = model.train_step(batch, optimizer)
    assert all(value.isfinite().all() for value in losses.values())
    moved = [not torch.equal(p, q) for p, q in zip(before, model.data_preprocessor.parameters())]
    assert any(moved) == (options is not BILINEAR)
    model.eval()
    with torch.no_grad():
        # One at a time: mmseg's test path wants images of one size.
        for size, image, sample in zip(sizes, batch['inputs'], batch['data_samples']):
            result, = model.test_step(dict(inputs=[image], data_samples=[sample]))
            if 'pred_instances' in result:
                corners = result.pred_instances.bboxes.view(-1, 2, 2)
                assert corners.isfinite().all() and len(result.pred_instances.scores) > 0
            else:
                assert result.pred_sem_seg.shape == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8 * 2**20  # kilobytes

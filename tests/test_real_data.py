"""The mini configs on the real data sets: the loading code, a training step and a prediction."""
from pathlib import Path

from dsnet_mm.config import load_config

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/mini'


@pytest.mark.parametrize('config, name, train, val', [
    ('centernet_cards', 'cards', 236, 60), ('centernet_bccd', 'bccd', 205, 87),
    ('deeplabv3plus_camvid', 'camvid', 367, 101)])
def test_real_images(config, name, train, val, data_root):
    cfg = load_config(str(CONFIGS / f'{config}.py'), dict(data_root=f'{data_root / name}/'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
            train_set = registry.build(cfg.train_dataloader.dataset)
            val_set = registry.build(cfg.val_dataloader.dataset)
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            model = registry.build(cfg.model)
    model.init_weights()
    assert (len(train_set), len(val_set)) == (train, val)

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
        assert (centers >= 0).all() and (centers <= torch.tensor([width, height])).all()
        # The centres are spread over the whole original image, not over a corner of it.
        assert (centers.amax(0) > 0.6 * torch.tensor([width, height])).all()

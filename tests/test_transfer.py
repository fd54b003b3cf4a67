"""Table 3 and Figure 5: a resizer trained with DeepLabv3+ goes in front of Light-Head R-CNN."""
from pathlib import Path

from dsnet_mm.config import load_config

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import nn

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
CHECKPOINT = 'model.data_preprocessor.resizer.init_cfg.checkpoint'


def build(cfg: dict) -> nn.Module:
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            return registry.build(cfg.model)


@pytest.mark.parametrize('name, moves', [('frozen', False), ('finetuned', True)])
def test_mini(name, moves, tmp_path, data_root):
    segmenter = build(load_config(str(CONFIGS / 'mini/deeplabv3plus_camvid.py')))
    trained = segmenter.data_preprocessor.resizer
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.save({'state_dict': segmenter.state_dict()}, tmp_path / 'segmenter.pth')

    cfg = load_config(
        str(CONFIGS / f'mini/lighthead_cards_camvid-resizer_{name}.py'),
        {'data_root': f'{data_root}/cards/', CHECKPOINT: str(tmp_path / 'segmenter.pth')})
    assert (cfg.model.data_preprocessor.scale
            == load_config(str(CONFIGS / 'mini/deeplabv3plus_camvid.py'))
            .model.data_preprocessor.scale)
    model = build(cfg)
    model.init_weights()
    resizer = model.data_preprocessor.resizer
    for mine, theirs in zip(resizer.parameters(), trained.parameters()):
        assert torch.equal(mine, theirs)

    with DefaultScope.overwrite_default_scope('mmdet'):
        with DATASETS.switch_scope_and_registry('mmdet') as registry:
            data = registry.build(cfg.train_dataloader.dataset)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    model.train_step(pseudo_collate([data[0], data[1]]), optimizer)
    assert any(not torch.equal(mine, theirs) for mine, theirs
               in zip(resizer.parameters(), trained.parameters())) == moves


def test_paper():
    segmenter = load_config(
        str(CONFIGS / 'transfer/deeplabv3plus_r101-d8_cityscapes-513to153.py'))
    for name, freeze in (('frozen', True), ('finetuned', False)):
        cfg = load_config(str(CONFIGS / f'transfer/lighthead_vgg16_voc07-scale0.3_{name}.py'))
        assert cfg.model.data_preprocessor.scale == segmenter.model.data_preprocessor.scale == 0.3
        assert cfg.model.data_preprocessor['freeze'] is freeze
        assert build(cfg).data_preprocessor.output_size(300, 400) == (90, 120)
    assert segmenter.model.data_preprocessor.size == (513, 513)
    assert segmenter.data_preprocessor == segmenter.model.data_preprocessor
    assert build(segmenter).data_preprocessor.size == (153, 153)

"""Table 3 and Figure 5: a resizer trained with DeepLabv3+ goes in front of Light-Head R-CNN."""
from pathlib import Path
from types import SimpleNamespace

from dsnet_mm.config import build_model, load_config

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SEGMENTER = 'deeplabv3plus_r101-d8_cityscapes-513to153'
CHECKPOINT = 'model.data_preprocessor.resizer.init_cfg.checkpoint'


@pytest.mark.parametrize('name, moves', [('frozen', False), ('finetuned', True)])
def test_mini(name, moves, tmp_path, data_root):
    source = load_config(str(CONFIGS / 'mini/camvid/deeplabv3plus_camvid.py'))
    segmenter = build_model(source)
    trained = segmenter.data_preprocessor.resizer
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.save({'state_dict': segmenter.state_dict()}, tmp_path / 'segmenter.pth')

    path = str(CONFIGS / f'mini/cards/lighthead_cards_camvid-resizer_{name}.py')
    preprocessor = load_config(path).model.data_preprocessor
    epochs = source.train_cfg.max_epochs
    assert preprocessor.resizer.init_cfg.checkpoint.endswith(
        f'/deeplabv3plus_camvid/epoch_{epochs}.pth')
    assert preprocessor.scale == source.model.data_preprocessor.scale
    cfg = load_config(
        path, {'data_root': f'{data_root}/cards/', CHECKPOINT: str(tmp_path / 'segmenter.pth')})
    model = build_model(cfg)
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


def test_figure_5_shows_epoch_1_and_every_tenth():
    cfg = load_config(str(CONFIGS / 'transfer/lighthead_vgg16_voc07-scale0.3_frozen.py')).train_cfg
    cfg.pop('type')
    loop = EpochBasedTrainLoop(SimpleNamespace(), DataLoader([0]), **cfg)
    validated = []
    for loop._epoch in range(1, cfg.max_epochs + 1):
        loop._decide_current_val_interval()
        if loop._epoch % loop.val_interval == 0:
            validated.append(loop._epoch)
    assert validated == [1, 10, 20, 30, 40, 50, 60, 70, 80]


def test_paper():
    segmenter = load_config(str(CONFIGS / f'transfer/{SEGMENTER}.py'))
    for name, freeze in (('frozen', True), ('finetuned', False)):
        cfg = load_config(str(CONFIGS / f'transfer/lighthead_vgg16_voc07-scale0.3_{name}.py'))
        assert cfg.model.data_preprocessor.scale == segmenter.model.data_preprocessor.scale == 0.3
        assert cfg.model.data_preprocessor['freeze'] is freeze
        assert build_model(cfg).data_preprocessor.output_size(300, 400) == (90, 120)
        checkpoint = cfg.model.data_preprocessor.resizer.init_cfg.checkpoint
        assert Path(checkpoint).parent.name == SEGMENTER
        # 200 of the segmenter's 300 epochs, at one of its checkpoints.
        iteration = int(Path(checkpoint).stem.removeprefix('iter_'))
        assert iteration == 2 * segmenter.train_cfg.max_iters / 3
        assert iteration % segmenter.default_hooks.checkpoint.interval == 0
    assert segmenter.model.data_preprocessor.size == (513, 513)
    assert segmenter.data_preprocessor == segmenter.model.data_preprocessor
    assert build_model(segmenter).data_preprocessor.size == (153, 153)

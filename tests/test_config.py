from pathlib import Path

from dsnet_mm.config import LOCAL_WEIGHTS, build_model, load_config

import pytest
import torch
from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
RUNNABLE = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)
ONE_LINE = {'model.data_preprocessor.type': 'dsnet_mm.DownsizeDetDataPreprocessor',
            'model.data_preprocessor.target_size': (160, 160)}


@pytest.mark.parametrize('path', RUNNABLE, ids=lambda p: p.stem)
def test_configs_load_with_one_line_and_turn_bilinear_by_options(path):
    assert load_config(str(path)).model.data_preprocessor.type.startswith('dsnet_mm.Downsize')
    options = {'model.data_preprocessor.resizer.type': 'FixedResizer',
               'model.data_preprocessor.resizer.mode': 'bilinear'}
    cfg = load_config(str(path), options)
    assert cfg.model.data_preprocessor.resizer == dict(type='FixedResizer', mode='bilinear')


def test_another_resizer_replaces_the_configs(tmp_path):
    (tmp_path / 'config.py').write_text(
        'model = dict(data_preprocessor=dict(resizer=dict(type="DownsizeNet", num_convs=3)))')
    key = 'model.data_preprocessor.resizer.'
    for options, expected in (
            ({f'{key}type': 'FixedResizer', f'{key}mode': 'area'},
             dict(type='FixedResizer', mode='area')),
            ({f'{key}type': 'DownsizeNet', f'{key}activation': 'sigmoid'},
             dict(type='DownsizeNet', num_convs=3, activation='sigmoid')),
            ({f'{key}num_convs': 4}, dict(type='DownsizeNet', num_convs=4))):
        cfg = load_config(str(tmp_path / 'config.py'), options)
        assert cfg.model.data_preprocessor.resizer == expected
    # DownsizeNetV2 is the type where none is named.
    (tmp_path / 'config.py').write_text(
        'model = dict(data_preprocessor=dict(resizer=dict(channels=8)))')
    for kind, expected in (('DownsizeNetV2', dict(type='DownsizeNetV2', channels=8)),
                           ('DownsizeNet', dict(type='DownsizeNet'))):
        cfg = load_config(str(tmp_path / 'config.py'), {f'{key}type': kind})
        assert cfg.model.data_preprocessor.resizer == expected


def test_one_line_over_a_config_of_mmdet_keeps_its_normalisation():
    cfg = load_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', ONE_LINE)
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.data_preprocessor.type == ONE_LINE['model.data_preprocessor.type']


def test_data_root_is_one_setting():
    cfg = load_config('mmdet::pascal_voc/ssd300_voc0712.py', dict(data_root='/elsewhere/'))
    roots = []

    def visit(node):
        if isinstance(node, dict):
            roots.extend([node['data_root']] if 'data_root' in node else [])
            node = node.values()
        if not isinstance(node, (str, int, float)) and node is not None:
            for value in node:
                visit(value)

    visit({key: cfg[key] for key in ('train_dataloader', 'val_dataloader', 'test_dataloader')})
    assert len(roots) == 4 and set(roots) == {'/elsewhere/'}


def test_data_root_moves_annotation_files():
    cfg = load_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', dict(data_root='/coco'))
    assert cfg.train_dataloader.dataset.data_root == '/coco/'
    assert cfg.val_evaluator.ann_file == '/coco/annotations/instances_val2017.json'
    assert 'data/coco' not in str(cfg._cfg_dict)


def test_data_root_without_a_place_for_it(tmp_path):
    (tmp_path / 'config.py').write_text('model = dict()')
    with pytest.raises(ValueError, match="data_root='/elsewhere/'.*no data_root"):
        load_config(str(tmp_path / 'config.py'), dict(data_root='/elsewhere/'))


def test_local_files_stand_in_for_weights_anywhere(tmp_path, monkeypatch, capsys):
    for file in LOCAL_WEIGHTS.values():
        (tmp_path / file).touch()
    monkeypatch.setenv('DSNET_MM_PRETRAINED', str(tmp_path))
    (tmp_path / 'config.py').write_text(
        'init = dict(type="Pretrained", checkpoint="mmcls://mobilenet_v2")\n'
        'model = dict(teachers=[dict(init_cfg=init), dict(init_cfg=(init, ))],\n'
        '             name="mobilenet_v2", init="torchvision://resnet18")')
    cfg = load_config(str(tmp_path / 'config.py'), {
        'model.backbone.init_cfg.checkpoint': 'open-mmlab://mmdet/mobilenet_v2'})
    mmdet, mmseg = (str(tmp_path / f'mobilenet_v2_imagenet{end}.pth') for end in ('', '_mmseg'))
    init = dict(type='Pretrained', checkpoint=mmseg)
    assert cfg.model == dict(
        teachers=[dict(init_cfg=init), dict(init_cfg=(init, ))], name='mobilenet_v2',
        init='torchvision://resnet18', backbone=dict(init_cfg=dict(checkpoint=mmdet)))
    printed = capsys.readouterr().out
    assert f'DSNET_MM_PRETRAINED: {mmseg} instead of mmcls://mobilenet_v2\n' in printed
    assert f'{mmdet} instead of open-mmlab://mmdet/mobilenet_v2\n' in printed


def test_without_the_variable_weights_are_those_upstream_names(monkeypatch):
    monkeypatch.delenv('DSNET_MM_PRETRAINED', raising=False)
    for name, url in (('fod/atss-mobilenetv2_fod', 'open-mmlab://mmdet/mobilenet_v2'),
                      ('camvid/fcn-mobilenetv2_camvid', 'mmcls://mobilenet_v2')):
        backbone = load_config(str(CONFIGS / f'mini/{name}.py')).model.backbone
        assert backbone.init_cfg.checkpoint == url


@pytest.mark.parametrize('name', ['fod/atss-mobilenetv2_fod',
                                  'camvid/deeplabv3plus-mobilenetv2_camvid'])
def test_local_weights_are_all_of_the_backbone(name, pretrained):
    model = build_model(load_config(str(CONFIGS / f'mini/{name}.py')))
    model.init_weights()
    here = model.backbone.state_dict()
    file = torch.load(model.backbone.init_cfg['checkpoint'], weights_only=True)['state_dict']
    assert here.keys() == file.keys()
    assert all(torch.equal(here[key], file[key]) for key in here)


def test_the_top_level_preprocessor_follows(tmp_path):
    (tmp_path / 'config.py').write_text(
        'data_preprocessor = dict(type="SegDataPreProcessor", size=(8, 8))\n'
        'model = dict(data_preprocessor=data_preprocessor)')
    cfg = load_config(str(tmp_path / 'config.py'), ONE_LINE)
    assert cfg.data_preprocessor == cfg.model.data_preprocessor
    assert cfg.data_preprocessor.type == ONE_LINE['model.data_preprocessor.type']
    assert isinstance(cfg, Config)

"""Configs in mmengine's new style, whose types are classes, in all tools."""
import json
from pathlib import Path

from dsnet_mm.comparison.metrics import DetailedIoUMetric, DetailedVOCMetric, detailed
from dsnet_mm.comparison.plan import check_config, is_frozen, main_metric, plan
from dsnet_mm.config import build_model, is_ours, load_config, resolve, scope_of
from dsnet_mm.engine.checkpoints import SafeCheckpointHook
from dsnet_mm.engine.seeding import StepSeedHook
from dsnet_mm.engine.training import safeguard
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, METRICS
from new_style import new_style

CHILD = """
from mmengine.config import read_base

with read_base():
    from .base import *

from dsnet_mm import {name}

model.update(data_preprocessor=dict(type={name}, scale=0.2))
"""
PREPROCESSORS = {'mmdet': 'DownsizeDetDataPreprocessor', 'mmseg': 'DownsizeSegDataPreProcessor'}
CONFIGS = {'mmdet': 'centernet_textures', 'mmseg': 'deeplabv3plus_textures'}


def write(package: str, folder: Path, **options) -> Path:
    """One of our small models without a resizer as ``base.py``, and its child with one."""
    cfg = load_config(f'configs/mini/textures/{CONFIGS[package]}.py', options)
    for key in ('target_size', 'scale'):
        cfg.model.data_preprocessor.pop(key, None)
    cfg.model.data_preprocessor.type = PREPROCESSORS[package].removeprefix('Downsize')
    cfg.pop('data_preprocessor', None)
    (folder / 'base.py').write_text(new_style(cfg))
    child = folder / 'child.py'
    child.write_text(CHILD.format(name=PREPROCESSORS[package]))
    return child


@pytest.mark.parametrize('package, metric, kept', [
    ('mmdet', 'pascal_voc/mAP', DetailedVOCMetric), ('mmseg', 'mIoU', DetailedIoUMetric)])
def test_classes_are_what_their_names_are(package, metric, kept, tmp_path):
    cfg = load_config(str(write(package, tmp_path)))
    assert cfg.default_scope is None and scope_of(cfg) == package
    assert not is_ours(load_config(str(tmp_path / 'base.py')).model.data_preprocessor)
    check_config(cfg)
    assert main_metric(cfg) == metric
    assert resolve(detailed(cfg.val_evaluator, package)['type'], METRICS) is kept
    run, = plan(cfg, {'bilinear': {'model.data_preprocessor.resizer': dict(
        type='FixedResizer')}}, [0], tmp_path, 'resizer', metric)
    run.prepare()
    written = Config.fromfile(run.config_file)  # mmengine's text of classes
    assert is_frozen(written) and main_metric(written) == metric
    assert isinstance(build_model(written).data_preprocessor, DownsizeMixin)


def test_the_tools_hooks_are_put_in_once(tmp_path):
    cfg = load_config(str(write('mmdet', tmp_path)))
    cfg.custom_hooks = [dict(type=StepSeedHook)]
    safeguard(cfg)
    assert resolve(cfg.default_hooks.checkpoint.type, HOOKS) is SafeCheckpointHook
    assert cfg.default_hooks.checkpoint.max_keep_ckpts == 1
    assert cfg.custom_hooks == [dict(type=StepSeedHook), dict(type='dsnet_mm.CheckResizerHook')]


def test_another_class_of_resizer_replaces_the_configs(tmp_path):
    child = write('mmdet', tmp_path)
    child.write_text(child.read_text() + 'from dsnet_mm import DownsizeNet\n'
                     'model["data_preprocessor"]["resizer"] = dict(type=DownsizeNet, num_convs=3)')
    key = 'model.data_preprocessor.resizer'
    cfg = load_config(str(child), {f'{key}.type': 'FixedResizer', f'{key}.mode': 'area'})
    assert cfg.model.data_preprocessor.resizer == dict(type='FixedResizer', mode='area')
    cfg = load_config(str(child), {f'{key}.type': 'DownsizeNet', f'{key}.channels': 8})
    assert cfg.model.data_preprocessor.resizer == dict(
        type='DownsizeNet', num_convs=3, channels=8)


def test_comparing_and_training(textures, tmp_path, run_tool):
    child = write('mmdet', tmp_path, data_root=f'{textures}/', **{'train_cfg.max_epochs': 1})
    out = tmp_path / 'out'
    run_tool('tools/compare.py', child, '--seeds', 0, '--work-dir', out, '--variants', 'bilinear')
    results = json.loads((out / 'results.json').read_text())
    assert results['metric'] == 'pascal_voc/mAP' and results['variants']['bilinear']['mean'] >= 0
    assert set(results['runs'][0]['per_class']) == set(results['classes'])
    run_tool('tools/train.py', child, '--work-dir', out / 'train')
    output = run_tool('tools/test.py', child, out / 'train/epoch_1.pth', '--work-dir', out / 'test',
                      '--out', out / 'found.pkl')
    assert 'SafeCheckpointHook' in output and (out / 'found.pkl').exists()

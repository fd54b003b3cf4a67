"""The one line under mmdet's and mmseg's own tools/train.py, and over their untouched configs."""
import runpy
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from dsnet_mm.config import load_config

import mmseg
import pytest

CHILD = """
_base_ = ['{base}']
custom_imports = dict(imports=['dsnet_mm'])  # mmcv's operators, where they are not compiled
train_dataloader = dict(batch_size=4, dataset=dict(data_root='{root}/'))
val_dataloader = dict(dataset=dict(data_root='{root}/'))
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict({one_line}))
train_cfg = dict(max_epochs=1, val_interval=1)
"""


@pytest.mark.parametrize('package, config, one_line', [
    ('mmdet', 'configs/mini/textures/centernet_textures.py',
     "type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(64, 64)"),
    ('mmseg', 'configs/mini/textures/deeplabv3plus_textures.py',
     "type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.2"),
])
def test_their_train_tool_runs_a_child_config(run_tool, textures, tmp_path, package, config,
                                              one_line):
    base = load_config(config)
    stock = {'mmdet': 'DetDataPreprocessor', 'mmseg': 'SegDataPreProcessor'}[package]
    for key in ('target_size', 'scale'):
        base.model.data_preprocessor.pop(key, None)
    base.model.data_preprocessor.type = stock
    base.dump(tmp_path / 'base.py')
    child = tmp_path / 'child.py'
    child.write_text(CHILD.format(base=tmp_path / 'base.py', root=textures, one_line=one_line))
    tool = Path(find_spec(package).origin).parent / '.mim/tools/train.py'
    run_tool(tool, child, '--work-dir', tmp_path)
    assert (tmp_path / 'epoch_1.pth').exists()


def test_one_line_by_options_over_an_untouched_config(run_tool, textures, tmp_path):
    """One epoch of mmdet's own CenterNet, on the built-in data instead of COCO."""
    dataset = {'type': 'XMLDataset', 'ann_file': 'ImageSets/Main/val.txt',
               'metainfo.classes': "('brick','grass','gravel','tissue','print')",
               'data_prefix.img': '', 'data_prefix.sub_data_root': ''}
    options = [f'train_dataloader.dataset.dataset.{key}={value}' for key, value in dataset.items()]
    run_tool(
        'tools/train.py', 'mmdet::centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco.py',
        '--work-dir', tmp_path, '--cfg-options', f'data_root={textures}/', *options,
        'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
        'model.data_preprocessor.type=dsnet_mm.DownsizeDetDataPreprocessor',
        'model.data_preprocessor.target_size=(64,64)', 'model.backbone.init_cfg=None',
        'model.bbox_head.num_classes=5', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.times=1', 'train_cfg.max_epochs=1')
    assert (tmp_path / 'epoch_1.pth').exists()


@pytest.mark.skipif(mmseg.__version__ == '1.2.2', reason='its tool and mmengine 0.10.7 disagree')
def test_get_flops_leaves_the_resizer_out():
    """As docs/api.md says: it counts what comes behind the preprocessor."""
    tool = Path(find_spec('mmseg').origin).parent / '.mim/tools/analysis_tools/get_flops.py'
    inference = runpy.run_path(str(tool))['inference']

    def flops(resizer: str) -> str:
        options = {'model.data_preprocessor.target_size': (60, 60),
                   'model.data_preprocessor.resizer.type': resizer}
        return inference(SimpleNamespace(
            config='configs/mini/textures/fcn_textures.py', shape=[120, 120], cfg_options=options),
            None)['flops']

    assert flops('DownsizeNet') == flops('FixedResizer')

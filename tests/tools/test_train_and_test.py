"""tools/train.py and tools/test.py, for detectors and segmenters."""
import json
import pickle
import re
from pathlib import Path

import pytest
import torch

SMALL = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.logger.interval=1',
         'train_dataloader.batch_size=4', 'model.data_preprocessor.resizer.channels=4')
CASES = {
    'det': ('configs/mini/textures/centernet_textures.py', 'pascal_voc/mAP',
            (*SMALL, 'model.data_preprocessor.target_size=(64,64)')),
    'seg': ('configs/mini/textures/deeplabv3plus_textures.py', 'mIoU',
            (*SMALL, 'model.data_preprocessor.scale=0.2')),
}


def scalars(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(folder.glob('*/vis_data/scalars.json'))
            for line in file.read_text().splitlines()]


@pytest.fixture(scope='module')
def trained(request, run_tool, textures, tmp_path_factory):
    """Folders of one epoch of training with a detector and with a segmenter."""
    folders = {}
    for name, (config, _, options) in CASES.items():
        folders[name] = tmp_path_factory.mktemp(name)
        run_tool('tools/train.py', config, '--work-dir', folders[name], '--cfg-options', *options,
                 f'data_root={textures}/')
    return folders


@pytest.mark.parametrize('name', CASES)
def test_training_moves_the_resizer_and_testing_reproduces_the_metric(
        name, trained, run_tool, textures, tmp_path):
    config, metric, options = CASES[name]
    checkpoint = trained[name] / 'epoch_1.pth'
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    assert state['data_preprocessor.resizer.logits.weight'].abs().sum() > 0
    printed = [r[metric] for r in scalars(trained[name]) if metric in r]

    out = tmp_path / ('predictions.pkl' if name == 'det' else 'predictions')
    run_tool('tools/test.py', config, checkpoint, '--work-dir', tmp_path, '--out', out,
             '--show-dir', tmp_path / 'shown', '--cfg-options', *options, f'data_root={textures}/')
    result = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert [result[metric]] == printed
    if name == 'det':
        assert len(pickle.loads(out.read_bytes())) == 4
    else:
        assert len(list(out.glob('*.png'))) == 4
    assert len(list(tmp_path.rglob('*val_0000*'))) >= 4


def test_training_resumes(trained, run_tool, textures):
    config, _, options = CASES['det']
    output = run_tool('tools/train.py', config, '--work-dir', trained['det'], '--resume',
                      '--cfg-options', *options, 'train_cfg.max_epochs=2',
                      f'data_root={textures}/')
    assert re.search(r'resumed epoch: 1', output)
    assert (trained['det'] / 'epoch_2.pth').exists()


def test_mixed_precision_reaches_the_optimizer(run_tool, textures, tmp_path):
    """mmengine has it on accelerators only and says so."""
    config, metric, options = CASES['seg']
    output = run_tool('tools/train.py', config, '--work-dir', tmp_path, '--amp', '--cfg-options',
                      *options, f'data_root={textures}/', fails=not torch.cuda.is_available())
    assert "type='AmpOptimWrapper'" in output
    assert torch.cuda.is_available() or 'only available training on gpu' in output


@pytest.mark.parametrize('arguments, message', [
    (('tools/train.py', CASES['det'][0], '--auto-scale-lr'), 'base_batch_size'),
    (('tools/test.py', CASES['det'][0], 'x.pth', '--out', 'x.txt'), '.pkl'),
    (('tools/test.py', CASES['det'][0], 'x.pth', '--tta'), 'tta_model'),
    (('tools/train.py', CASES['det'][0], '--cfg-options', 'model.data_preprocessor.scale=0.5'),
     'exactly one'),
])
def test_bad_arguments(run_tool, arguments, message, tmp_path):
    assert message in run_tool(*arguments, '--work-dir', tmp_path, fails=True)


TTA = """
_base_ = ['{base}']
# As most of mmseg's own configs: the top-level preprocessor would win in test-time augmentation.
data_preprocessor = dict(type='SegDataPreProcessor', mean=[0, 0, 0], std=[1, 1, 1])
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
"""


def test_test_time_augmentation_keeps_the_resizer(trained, run_tool, textures, tmp_path):
    config, metric, options = CASES['seg']
    (tmp_path / 'tta.py').write_text(TTA.format(base=Path(config).resolve()))
    output = run_tool('tools/test.py', tmp_path / 'tta.py', trained['seg'] / 'epoch_1.pth',
                      '--tta', '--work-dir', tmp_path, '--cfg-options', *options,
                      f'data_root={textures}/')
    assert f'{metric}:' in output
    # What a model without the resizer would say of the checkpoint.
    assert 'unexpected key' not in output

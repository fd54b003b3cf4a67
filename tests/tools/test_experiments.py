import re
from functools import reduce
from operator import getitem
from pathlib import Path

from dsnet_mm.cli import compare
from dsnet_mm.config import load_config
from dsnet_mm.variants import VARIANTS

import experiments
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('name', experiments.NAMES)
def test_every_experiment_can_be_planned(name, data_root, tmp_path, monkeypatch):
    monkeypatch.setenv('DSNET_MM_DATA', str(data_root))
    monkeypatch.chdir(ROOT)
    for number, arguments in enumerate(experiments.commands(name)):
        arguments += ['--seeds', '0', '1', '--work-dir', str(tmp_path / str(number))]
        if '--from' in arguments:
            (tmp_path / 'model.pth').touch()
            arguments += ['--from', str(tmp_path / 'model.pth')]
        args = compare.parse_args(arguments)
        comparisons = compare.prepare(args)
        assert len(comparisons) == len(args.sizes or [None])
        for comparison in comparisons:
            assert len(comparison.runs) == 2 * len(args.variants)
            assert all(run.config_file.exists() for run in comparison.runs)


def test_crop_sizes_are_those_of_random_crops(monkeypatch):
    """Options name a step of a pipeline by its position."""
    monkeypatch.chdir(ROOT)
    for name in experiments.NAMES:
        for config, *arguments in experiments.commands(name):
            for key in re.findall(r'([\w.]+)\.crop_size', ' '.join(arguments)):
                *pipeline, step = key.split('.')
                steps = reduce(getitem, pipeline, load_config(config))
                assert steps[int(step)].type == 'RandomCrop', (name, key)


def test_every_result_has_an_experiment():
    results = {str(file.relative_to(ROOT / 'docs/results').with_suffix(''))
               for file in (ROOT / 'docs/results').rglob('*.json')}
    assert results - {'cracks/quickstart'} <= set(experiments.NAMES)


def test_a_missing_model_names_the_experiment_that_trains_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [arguments] = experiments.commands('drive/frozen-model')
    folder = tmp_path / experiments.OUT / 'drive/larger-input/runs'
    (folder / 'bilinear-seed0').mkdir(parents=True)
    (folder / 'bilinear-seed0/iter_600.pth').touch()
    with pytest.raises(FileNotFoundError, match='bilinear-seed1/iter_600.pth.*drive/larger-input'):
        experiments.check_checkpoints(arguments)
    experiments.check_checkpoints([*arguments, '--seeds', '0'])
    [arguments] = experiments.commands('cards/table3')  # whose resizer is of another experiment
    with pytest.raises(FileNotFoundError, match='experiments.py camvid/deeplabv3plus"'):
        experiments.check_checkpoints(arguments)


@pytest.mark.parametrize('line, message', [
    ('seed: [0]', 'unknown keys: seed'),
    ('mode: test', "mode must be one of train, finetune, resizer, got 'test'")])
def test_a_mistake_in_a_file_is_named(line, message, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, 'FOLDER', tmp_path)
    (tmp_path / 'one.yml').write_text(f'config: a.py\nvariants: [bilinear]\n{line}\n')
    with pytest.raises(ValueError, match=message):
        experiments.commands('one')


def test_a_variant_is_what_compare_takes():
    assert experiments.variant('bilinear') == 'bilinear'
    resizer = {'type': 'DownsizeNet', 'channels': 32}
    text = experiments.variant({'wide': {'resizer': resizer, 'train_cfg.max_iters': 2}})
    assert compare.parse_variants([text], False) == {'wide': {
        'model.data_preprocessor.resizer': resizer, 'train_cfg.max_iters': 2}}
    text = experiments.variant({'larger': {'resizer': 'antialias'}})
    assert compare.parse_variants([text], False) == compare.parse_variants(
        [f'larger={VARIANTS["antialias"]}'], False)

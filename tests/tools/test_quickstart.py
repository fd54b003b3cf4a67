"""The quickstart on a data set and a schedule of seconds."""
import json
import sys
from pathlib import Path

from dsnet_mm.config import build_model, load_config

import arms
import pytest
import quickstart

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(textures, tmp_path, monkeypatch) -> Path:
    """Points the quickstart to them; returns its output folder."""
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/mini/centernet_textures.py']\n"
        'model = dict(data_preprocessor=dict(target_size=(64, 64)))\n'
        f"train_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_epochs=1, val_interval=1)\n')
    monkeypatch.setattr(quickstart, 'CONFIG', config)
    monkeypatch.setattr(quickstart, 'DATA', textures)
    monkeypatch.setattr(quickstart, 'TRAIN_IMAGES', 16)
    monkeypatch.setattr(quickstart, 'VAL_IMAGES', 4)
    out = tmp_path / 'out'
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--work-dir', str(out)])
    return out


def test_both_arms_are_trained_once_and_compared(small, capsys):
    assert quickstart.main() == 0
    assert 'downsizenet' in capsys.readouterr().out
    results = json.loads((small / 'results.json').read_text())
    bilinear, ours = results['arms']['bilinear'], results['arms']['downsizenet']
    assert ours['params'] - bilinear['params'] == 2980
    assert bilinear['ms_per_image'] > 0 and list(ours['seeds']) == ['0']
    assert 'downsizenet' in (small / 'report.html').read_text()
    before = {p: p.stat().st_mtime for p in small.rglob('*.json')}
    assert quickstart.main() == 0  # again: nothing is done twice
    assert before == {p: p.stat().st_mtime for p in small.rglob('*.json')}


def test_another_data_set_in_its_place_is_refused(small, monkeypatch):
    monkeypatch.setattr(quickstart, 'TRAIN_IMAGES', 17)
    with pytest.raises(SystemExit, match='16 train images instead of 17'):
        quickstart.main()


@pytest.mark.parametrize('arm', ['bilinear', 'downsizenet'])
def test_readme_shows_the_model_that_is_trained(arm):
    cfg = load_config(str(quickstart.CONFIG))
    cfg.model.data_preprocessor.resizer = arms.ARMS[arm]
    model = build_model(cfg)
    count = f'| {sum(p.numel() for p in model.parameters()):,} |'
    assert any(line.startswith(f'| {arm} |') and count in line
               for line in (ROOT / 'README.md').read_text().splitlines())

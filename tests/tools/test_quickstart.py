"""The quickstart on a data set and a schedule of seconds."""
import json
import sys
from pathlib import Path

from dsnet_mm.config import build_model, load_config

import cv2
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
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--out', str(out)])
    return out


def test_both_arms_are_trained_once_and_compared(small, capsys):
    quickstart.main()
    assert 'downsizenet' in capsys.readouterr().out
    results = json.loads((small / 'results.json').read_text())
    assert results['metric'] == 'pascal_voc/mAP'
    bilinear, ours = results['arms']['bilinear'], results['arms']['downsizenet']
    assert ours['params'] - bilinear['params'] == 2980
    assert bilinear['ms_per_image'] > 0 and list(ours['seeds']) == ['0']
    table = (small / 'results.md').read_text().splitlines()
    assert len(table) == 4 and f'{bilinear["params"]:,}' in table[2]
    height, width = cv2.imread(str(small / 'picture.png')).shape[:2]
    assert width > 2 * height
    before = {p: p.stat().st_mtime for p in small.rglob('*') if p.is_file()}
    quickstart.main()  # again: nothing is done twice
    assert before == {p: p.stat().st_mtime for p in small.rglob('*') if p.is_file()}

    # Interrupted in the last validation: no metric, but a checkpoint that looks finished.
    (small / 'results.json').unlink()
    for file in (small / 'bilinear-seed0').glob('*/vis_data/scalars.json'):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text(''.join(line for line in lines if 'mAP' not in line))
    quickstart.main()
    again = json.loads((small / 'results.json').read_text())
    assert again['arms']['bilinear']['seeds'] == bilinear['seeds']


def test_another_data_set_in_its_place_is_refused(small, monkeypatch):
    monkeypatch.setattr(quickstart, 'TRAIN_IMAGES', 17)
    with pytest.raises(SystemExit, match='16 train images instead of 17'):
        quickstart.main()


def test_a_failed_training_shows_the_end_of_its_log(small, monkeypatch):
    monkeypatch.setitem(quickstart.ARMS, 'downsizenet', dict(type='Upsize'))
    message = "(?s)downsizenet-seed0 failed.*unknown resizer type 'Upsize'.*output.log"
    with pytest.raises(SystemExit, match=message):
        quickstart.main()


@pytest.mark.parametrize('arm', quickstart.ARMS)
def test_readme_shows_the_model_that_is_trained(arm):
    cfg = load_config(str(quickstart.CONFIG))
    cfg.model.data_preprocessor.resizer = quickstart.ARMS[arm]
    model = build_model(cfg)
    row, = (line for line in (ROOT / 'README.md').read_text().splitlines()
            if line.startswith(f'| {arm} |'))
    assert f'| {sum(p.numel() for p in model.parameters()):,} |' in row

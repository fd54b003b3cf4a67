"""The quickstart on a data set and a schedule of seconds."""
import json
import sys
from pathlib import Path

from dsnet_mm.config import build_model, load_config
from dsnet_mm.variants import VARIANTS

import pytest
import quickstart
from make_cracks import make_cracks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """Points the quickstart to them; returns its output folder."""
    data = tmp_path / 'cracks'
    make_cracks(data, train=8, val=2, seed=0)
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/mini/cracks/unet_cracks.py']\n"
        'model = dict(data_preprocessor=dict(scale=0.2))\n'
        f"train_dataloader = dict(dataset=dict(data_root='{data}/'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{data}/'))\n"
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_iters=2, val_interval=2)\n')
    monkeypatch.setattr(quickstart, 'CONFIG', config)
    monkeypatch.setattr(quickstart, 'DATA', data)
    monkeypatch.setattr(quickstart, 'TRAIN_IMAGES', 8)
    monkeypatch.setattr(quickstart, 'VAL_IMAGES', 2)
    out = tmp_path / 'out'
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--seeds', '0', '--work-dir', str(out)])
    return out


def test_every_variant_is_trained_once_and_compared(small, capsys):
    assert quickstart.main() == 0
    assert 'downsizenet-v2' in capsys.readouterr().out
    results = json.loads((small / 'results.json').read_text())
    assert list(results['arms']) == list(quickstart.VARIANTS)
    bilinear, ours = results['arms']['bilinear'], results['arms']['downsizenet-v2']
    assert ours['params'] - bilinear['params'] == 2921
    assert bilinear['ms_per_image'] > 0 and list(ours['seeds']) == ['0']
    assert results['metric'] == 'IoU/crack'
    assert 'downsizenet-v2' in (small / 'report.html').read_text()
    before = {p: p.stat().st_mtime for p in small.rglob('*.json')}
    assert quickstart.main() == 0  # again: nothing is done twice
    assert before == {p: p.stat().st_mtime for p in small.rglob('*.json')}


def test_another_data_set_in_its_place_is_refused(small, monkeypatch):
    monkeypatch.setattr(quickstart, 'TRAIN_IMAGES', 9)
    with pytest.raises(SystemExit, match='8 train images instead of 9'):
        quickstart.main()


@pytest.mark.parametrize('variant', quickstart.VARIANTS)
def test_the_results_show_the_model_that_is_trained(variant):
    cfg = load_config(str(quickstart.CONFIG))
    cfg.model.data_preprocessor.resizer = VARIANTS[variant]
    model = build_model(cfg)
    count = f'| {sum(p.numel() for p in model.parameters()):,} |'
    assert any(line.startswith(f'| {variant} |') and count in line
               for line in (ROOT / 'docs/results.md').read_text().splitlines())

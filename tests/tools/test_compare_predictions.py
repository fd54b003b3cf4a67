import json
import sys
from pathlib import Path

from dsnet_mm.cli import compare

import compare_predictions as tool
import cv2
import numpy as np
import pytest
from make_cracks import make_cracks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Path:
    """A comparison of two variants on a data set and a schedule of seconds."""
    folder = tmp_path_factory.mktemp('comparison')
    make_cracks(folder / 'cracks', train=4, val=2, seed=0)
    assert compare.main([
        str(ROOT / 'configs/mini/cracks/unet_cracks.py'), '--variants', 'bilinear', 'antialias',
        '--seeds', '0', '--metric', 'IoU/crack', '--work-dir', str(folder / 'out'), '--cfg-options',
        f'data_root={folder}/cracks/', 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']) == 0
    return folder / 'out'


def draw(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['compare_predictions.py', *map(str, arguments)])
    tool.main()


def test_a_page_is_drawn(finished, tmp_path, monkeypatch):
    out = tmp_path / 'new/page.png'
    draw(monkeypatch, finished, '--variants', 'bilinear', 'antialias', '--image', 1,
        '--part', 40, 30, 100, 80, '--out', out)
    assert cv2.imread(str(out)).std() > 10


def test_it_finds_what_the_evaluation_found(finished):
    results = json.loads((finished / 'results.json').read_text())
    run = tool.Run('antialias', 0, {}, finished / 'runs/antialias-seed0', '', 0, '')
    found = [tool.predict(run, index, label=1)[1] for index in range(2)]
    both = sum((p.found & p.truth).sum() for p in found)
    either = sum((p.found | p.truth).sum() for p in found)
    assert 100 * both / either == pytest.approx(results['variants']['antialias']['mean'], abs=0.01)
    assert all(p.resized.shape == (72, 72, 3) for p in found)


def test_colors_say_what_is_right():
    found, truth = (np.array([flags], bool) for flags in ([1, 0, 1, 0, 1], [1, 1, 0, 0, 0]))
    known = np.array([[1, 1, 1, 1, 0]], bool)
    prediction = tool.Prediction(np.zeros((1, 1, 3), np.uint8), found, truth, known)
    black = (0, 0, 0)
    assert [tuple(c) for c in tool.colors(prediction)[0]] == [
        tool.FOUND, tool.MISSED, tool.WRONG, black, black]
    assert prediction.iou == pytest.approx(100 / 3)


def test_what_is_refused(finished, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match='no checkpoint: choose --variants and --seed'):
        draw(monkeypatch, finished, '--variants', 'muller')
    with pytest.raises(SystemExit, match='no image 2: the validation set has 2'):
        draw(monkeypatch, finished, '--variants', 'bilinear', '--image', 2)

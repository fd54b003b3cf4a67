"""The quickstart in a folder of its own, with a schedule of seconds."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

from dsnet_mm.comparison.plan import use_detail_backbone
from dsnet_mm.config import build_model, load_config
from dsnet_mm.variants import VARIANTS

import pytest
from make_cracks import make_cracks

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/mini/cracks/unet_cracks.py'
NAMES = ['bilinear', 'antialias', 'downsizenet-v2', 'downsizenet-v2+detail']


@pytest.fixture
def folder(tmp_path) -> Path:
    """The quickstart's tools beside this environment, and its config with two iterations."""
    shutil.copytree(ROOT / 'tools', tmp_path / 'tools')
    # This environment is set up already.
    (tmp_path / 'tools/setup_env.sh').write_text('')
    (tmp_path / '.venv').symlink_to(sys.prefix)
    (tmp_path / CONFIG).parent.mkdir(parents=True)
    (tmp_path / CONFIG).write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n"
        'model = dict(data_preprocessor=dict(scale=0.2))\n'
        'train_cfg = dict(max_iters=2, val_interval=2)\n')
    return tmp_path


def quickstart(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['bash', folder / 'tools/quickstart.sh', *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_every_variant_is_trained_once_and_compared(folder):
    arguments = '--seeds', '0', '--work-dir', 'out'
    result = quickstart(folder, *arguments)
    assert result.returncode == 0 and 'downsizenet-v2' in result.stdout, result.stdout
    out = folder / 'out'
    results = json.loads((out / 'results.json').read_text())
    assert list(results['variants']) == NAMES
    bilinear, ours = results['variants']['bilinear'], results['variants']['downsizenet-v2']
    assert ours['params'] - bilinear['params'] == 2921
    assert bilinear['ms_per_image'] > 0 and list(ours['seeds']) == ['0']
    assert results['metric'] == 'IoU/crack'
    assert 'downsizenet-v2' in (out / 'report.html').read_text()
    before = {path: path.stat().st_mtime for path in out.rglob('*.json')}
    assert quickstart(folder, *arguments).returncode == 0  # again: nothing is done twice
    assert before == {path: path.stat().st_mtime for path in out.rglob('*.json')}


@pytest.mark.parametrize('part, images', [('train', 8), ('val', 2)])
def test_another_data_set_in_its_place_is_refused(part, images, folder):
    make_cracks(folder / 'data/cracks', **{'train': 200, 'val': 60, part: images}, seed=0)
    result = quickstart(folder)
    assert result.returncode == 1 and not (folder / 'work_dirs').exists()
    assert f'data/cracks has {images} {part} images instead of' in result.stdout


def test_a_folder_without_images_is_refused(folder):
    (folder / 'data/cracks').mkdir(parents=True)
    result = quickstart(folder)
    assert result.returncode == 1 and 'has 0 train images instead of 200' in result.stdout


@pytest.mark.parametrize('variant', NAMES)
def test_the_results_show_the_model_that_is_trained(variant):
    cfg = load_config(str(ROOT / CONFIG))
    cfg.model.data_preprocessor.resizer = VARIANTS[variant]
    use_detail_backbone(cfg)
    model = build_model(cfg)
    count = f'| {sum(p.numel() for p in model.parameters()):,} |'
    assert any(line.startswith(f'| {variant} |') and count in line
               for line in (ROOT / 'docs/results.md').read_text().splitlines())

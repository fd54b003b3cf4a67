"""The built package in an environment of its own: commands, weights, configs and tools."""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml
from make_cracks import make_cracks
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/**/*.py')
                 if '_base_' not in path.parts)

IN_IT = """
import sys
from pathlib import Path

import dsnet_mm
from dsnet_mm.config import build_model, load_config
from dsnet_mm.resizers import pretrained

from mmengine.hub import get_config
from mmengine.utils import get_installed_path

site = Path(sys.argv[1])
assert Path(dsnet_mm.__file__) == site / 'dsnet_mm/__init__.py', dsnet_mm.__file__
assert Path(get_installed_path('dsnet_mm')) == site / 'dsnet_mm'
assert (site / 'dsnet_mm/py.typed').is_file()
assert pretrained.names() == ['bccd-refinedet', 'camvid-deeplabv3plus', 'drive-unet']
dsnet_mm.DownsizeNet.from_pretrained('bccd-refinedet')
for config in sys.argv[2:]:
    cfg = get_config('dsnet_mm::' + config.removeprefix('configs/'))
    assert Path(cfg.filename) == site / 'dsnet_mm/.mim' / config, cfg.filename
cfg = load_config('dsnet_mm::mini/camvid/fcn_camvid.py', {
    'model.data_preprocessor.resizer.weights': 'camvid-deeplabv3plus'})
assert build_model(cfg).data_preprocessor.resizer.weights == 'camvid-deeplabv3plus'
"""


def run(*command: object, cwd: Path | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    result = subprocess.run([*map(str, command)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env=environment, cwd=cwd)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope='module')
def environment(tmp_path_factory) -> Path:
    """A virtual environment with nothing but this package, installed from its wheel.

    What it depends on is imported from the environment of the tests, whose own dsnet_mm is not.
    """
    folder = tmp_path_factory.mktemp('wheel')
    # A copy: nothing that was built before gets in, and nothing is left behind.
    shutil.copytree(ROOT, folder / 'source', symlinks=True, ignore=shutil.ignore_patterns(
        '.git', '.venv*', 'build', '*.egg-info', 'work_dirs', 'data', '__pycache__'))
    pip = sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q'
    run(*pip, 'wheel', '--no-deps', '--no-index', '--no-build-isolation', '-w', folder,
        folder / 'source')
    [wheel] = folder.glob('*.whl')
    venv.create(folder / 'environment')
    run(*pip, '--python', folder / 'environment', 'install', '--no-deps', '--no-index', wheel)
    # Files with paths in a folder that is named in one are not read: nothing editable gets in.
    (site_of(folder / 'environment') / 'dependencies.pth').write_text(sysconfig.get_path('purelib'))
    return folder / 'environment'


def site_of(environment: Path) -> Path:
    [site] = environment.glob('lib/python*/site-packages')
    return site


@pytest.fixture
def away(tmp_path) -> Path:
    """A user's folder, with a photograph and the results of a comparison."""
    Image.fromarray(data.chelsea()).save(tmp_path / 'cat.png')
    shutil.copy(ROOT / 'docs/results/cracks/quickstart.json', tmp_path / 'results.json')
    return tmp_path


def test_it_finds_what_is_its_own(environment, tmp_path):
    (tmp_path / 'in_it.py').write_text(IN_IT)
    run(environment / 'bin/python', tmp_path / 'in_it.py', site_of(environment), *CONFIGS)


def test_it_resizes_away_from_any_checkout(environment, away):
    assert 'COMMAND --help' in run(environment / 'bin/dsnet-mm', '--help', cwd=away)
    run(environment / 'bin/dsnet-mm', 'resize', 'cat.png', '--size', '60,90', '--weights',
        'bccd-refinedet', '--out', 'small', cwd=away)
    assert Image.open(away / 'small/cat.png').size == (90, 60)


def test_it_reports_a_comparison_away_from_any_checkout(environment, away):
    text = run(environment / 'bin/dsnet-mm', 'compare', '--report-only', '.', cwd=away)
    assert '45.3 ± 0.9' in text
    assert '| downsizenet-v2 | 45.3 ± 0.9 | 3 | ' in (away / 'report.md').read_text()
    assert (away / 'report.html').read_text().startswith('<!DOCTYPE html>')


def test_it_compares_away_from_any_checkout(environment, away):
    """A segmenter of this package's configs, on synthetic images, for one step."""
    make_cracks(away / 'cracks', train=2, val=1, seed=0)
    text = run(environment / 'bin/dsnet-mm', 'compare', 'dsnet_mm::mini/cracks/unet_cracks.py',
               '--variants', "ours={'type': 'DownsizeNet', 'channels': 4}", '--seeds', 0,
               '--work-dir', 'out', '--cfg-options', f'data_root={away}/cracks/',
               'train_cfg.max_iters=1', 'train_cfg.val_interval=1', cwd=away)
    assert 'Reports: out/report.html' in text
    assert list(json.loads((away / 'out/results.json').read_text())['variants']) == ['ours']


def test_mim_finds_tools_and_readmes(environment):
    tools = site_of(environment) / 'dsnet_mm/.mim/tools'
    assert '--launcher' in run(environment / 'bin/python', tools / 'train.py', '--help')
    assert 'drive/unet\n' in run(environment / 'bin/python', tools / 'experiments.py', '--help')
    in_git = {path.relative_to(ROOT / 'tools') for path in (ROOT / 'tools').rglob('*')
              if path.is_file() and path.suffix != '.pyc'}
    assert {path.relative_to(tools) for path in tools.rglob('*')
            if path.is_file() and path.suffix != '.pyc'} == in_git
    assert not any(path.is_symlink() for path in site_of(environment).rglob('*'))
    readmes = [path.relative_to(ROOT) for path in ROOT.glob('configs/*/README.md')]
    assert readmes and all((tools.parent / readme).is_file() for readme in readmes)


def test_mim_searches_every_config():
    [metafile] = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    metafile = yaml.safe_load((ROOT / metafile).read_text())
    assert sorted(model['Config'] for model in metafile['Models']) == CONFIGS
    assert {model['In Collection'] for model in metafile['Models']} == {
        collection['Name'] for collection in metafile['Collections']}
    assert all(model['Name'] == Path(model['Config']).stem for model in metafile['Models'])
    assert all((ROOT / collection['README']).is_file() for collection in metafile['Collections'])

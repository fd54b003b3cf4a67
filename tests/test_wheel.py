"""The built package, installed: it has its weights, and configs and tools where mim looks."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
assert pretrained.names() == ['bccd-refinedet', 'camvid-deeplabv3plus']
dsnet_mm.DownsizeNet.from_pretrained('bccd-refinedet')
for config in sys.argv[2:]:
    cfg = get_config('dsnet_mm::' + config.removeprefix('configs/'))
    assert Path(cfg.filename) == site / 'dsnet_mm/.mim' / config, cfg.filename
cfg = load_config('dsnet_mm::mini/fcn_camvid.py', {
    'model.data_preprocessor.resizer.weights': 'camvid-deeplabv3plus'})
assert build_model(cfg).data_preprocessor.resizer.weights == 'camvid-deeplabv3plus'
"""


def run(*command: object, **environment: str) -> str:
    result = subprocess.run([sys.executable, *map(str, command)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """A folder with nothing but this package installed from its wheel."""
    folder = tmp_path_factory.mktemp('wheel')
    # A copy: nothing that was built before gets in, and nothing is left behind.
    shutil.copytree(ROOT, folder / 'source', symlinks=True, ignore=shutil.ignore_patterns(
        '.git', '.venv*', 'build', '*.egg-info', 'work_dirs', 'data', '__pycache__'))
    pip = '-m', 'pip', '--disable-pip-version-check', '-q'
    run(*pip, 'wheel', '--no-deps', '--no-index', '--no-build-isolation', '-w', folder,
        folder / 'source')
    [wheel] = folder.glob('*.whl')
    run(*pip, 'install', '--no-deps', '--no-index', '--target', folder / 'site', wheel)
    return folder / 'site'


def test_it_finds_what_is_its_own(site, tmp_path):
    (tmp_path / 'in_it.py').write_text(IN_IT)
    run(tmp_path / 'in_it.py', site, *CONFIGS, PYTHONPATH=str(site))


def test_mim_finds_the_tools(site):
    tools = site / 'dsnet_mm/.mim/tools'
    assert '--launcher' in run(tools / 'train.py', '--help', PYTHONPATH=str(site))
    in_git = {path.relative_to(ROOT / 'tools') for path in (ROOT / 'tools').rglob('*')
              if path.is_file() and path.suffix != '.pyc'}
    assert {path.relative_to(tools) for path in tools.rglob('*')
            if path.is_file() and path.suffix != '.pyc'} == in_git
    assert not any(path.is_symlink() for path in site.rglob('*'))


def test_mim_searches_every_config():
    [metafile] = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    metafile = yaml.safe_load((ROOT / metafile).read_text())
    assert sorted(model['Config'] for model in metafile['Models']) == CONFIGS
    assert {model['In Collection'] for model in metafile['Models']} == {
        collection['Name'] for collection in metafile['Collections']}
    assert all(model['Name'] == Path(model['Config']).stem for model in metafile['Models'])
    assert all((ROOT / collection['README']).is_file() for collection in metafile['Collections'])

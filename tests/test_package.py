"""The package's attributes: everything that a config names by ``dsnet_mm.``."""
import re
import subprocess
import sys
from pathlib import Path

import dsnet_mm
from dsnet_mm import registry, resizers

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md'),
         *(path for folder in ('configs', 'dsnet_mm', 'tools')
           for path in (ROOT / folder).rglob('*.py'))]


def test_what_is_documented_is_there():
    names = {name for text in TEXTS
             for name in re.findall(r'\bdsnet_mm\.([A-Z]\w+)', text.read_text())}
    assert len(names) > 20
    for name in sorted(names):
        assert name in dir(dsnet_mm) and callable(getattr(dsnet_mm, name))


@pytest.mark.parametrize('kind', ['MODELS', 'HOOKS', 'TRANSFORMS'])
def test_what_is_registered_is_there(kind):
    own = getattr(registry, kind)
    own.import_from_location()
    for name, cls in own.module_dict.items():
        assert getattr(dsnet_mm, name) is cls and name in dir(dsnet_mm)
        assert own.get(name) is cls


def test_the_resizers_are_there():
    for name in resizers.__all__:
        assert getattr(dsnet_mm, name) is getattr(resizers, name) and name in dsnet_mm.__all__


def test_looking_around_imports_nothing():
    program = ('import sys, dsnet_mm; before = set(sys.modules); dir(dsnet_mm); '
               'assert set(sys.modules) == before; '
               'from dsnet_mm import *; assert DownsizeNet.__module__ in sys.modules; '
               'assert not {"mmdet", "mmseg", "mmcv"} & set(sys.modules); '
               'assert not hasattr(dsnet_mm, "Nothing")')
    subprocess.run([sys.executable, '-c', program], check=True, cwd=ROOT)

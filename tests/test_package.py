"""The package's public names, and how its modules import one another."""
import ast
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dsnet_mm
from dsnet_mm import registry, resizers
from dsnet_mm.public import PUBLIC

import mmengine.registry
import pytest
from mmengine.utils import get_object_from_string

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')]
TEXTS = [*PAGES, ROOT / 'CHANGELOG.md',
         *(path for folder in ('configs', 'dsnet_mm', 'tools')
           for path in (ROOT / folder).rglob('*.py'))]
NAMES = {name: module for module in PUBLIC for name in module.names}
# From low to high: a module imports from its own room and lower ones.
ROOMS = ('public', 'files', 'compat', 'resizers', 'registry', 'zoo', 'models', 'transforms',
         'config', 'engine', 'variants', 'visualization', 'deploy.errors', 'deploy.runtime',
         'deploy.decoders', 'deploy.export', 'deploy', 'benchmarking', 'comparison', 'cli')


def test_what_is_documented_is_there():
    names = {name for text in TEXTS
             for name in re.findall(r'\bdsnet_mm\.([A-Z]\w+)', text.read_text())}
    assert len(names) > 20
    for name in sorted(names):
        assert name in dir(dsnet_mm) and callable(getattr(dsnet_mm, name))


def test_every_dotted_name_on_the_pages_resolves():
    paths = {path for page in PAGES
             for path in re.findall(r'\bdsnet_mm(?:\.\w+)+', page.read_text())}
    assert len(paths) > 20 and 'dsnet_mm.transforms.Downsize' in paths
    for path in sorted(paths):
        found = pkgutil.resolve_name(path)
        assert getattr(dsnet_mm, path.split('.')[1]) is not None
        if isinstance(found, type):
            assert get_object_from_string(path) is found  # as mmengine reads a config


@pytest.mark.parametrize('name', NAMES)
def test_every_public_name_is_an_attribute_and_a_type_in_a_config(name):
    attribute = getattr(dsnet_mm, name)
    assert attribute.__name__ == name and name in dir(dsnet_mm)
    kind = NAMES[name].registry or 'MODELS'
    assert getattr(mmengine.registry, kind).get(f'dsnet_mm.{name}') is attribute


@pytest.mark.parametrize('kind', ['MODELS', 'HOOKS', 'TRANSFORMS'])
def test_what_is_registered_is_there(kind):
    own = getattr(registry, kind)
    own.import_from_location()
    for name, cls in own.module_dict.items():
        assert getattr(dsnet_mm, name) is cls and name in dir(dsnet_mm)
        assert own.get(name) is cls
    assert own.module_dict.keys() == {
        name for name, module in NAMES.items() if module.registry == kind}


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


def test_resizers_need_torch_alone_and_the_package_not_even_that():
    program = ('import sys\n'
               'for name in ("mmengine", "mmcv", "mmdet", "mmseg", "torchvision", "safetensors",'
               ' "PIL", "rich"): sys.modules[name] = None\n'
               'import dsnet_mm; assert "torch" not in sys.modules\n'
               'import dsnet_mm.resizers; assert "torch" in sys.modules\n'
               'import torch; dsnet_mm.DownsizeNet()(torch.rand(1, 3, 8, 8), (4, 4))')
    subprocess.run([sys.executable, '-c', program], check=True, cwd=ROOT)


def module_imports() -> dict[str, set[str]]:
    """The modules of this package, and which of them each imports when it is imported."""
    files = {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
             for path in (ROOT / 'dsnet_mm').rglob('*.py') if '.mim' not in path.parts}
    imports = {}
    for module, path in files.items():
        found = set()
        for node in _executed(ast.parse(path.read_text()).body):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f'{module} has a relative import'
                found |= {f'{node.module}.{alias.name}' if f'{node.module}.{alias.name}' in files
                          else str(node.module) for alias in node.names}
        imports[module] = (found & files.keys()) - {module}
    return imports


def _executed(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that run on import: not those of functions, nor for type checkers only."""
    found = []
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
            found += _executed(node.orelse)
            continue
        found.append(node)
        for field in ('body', 'orelse', 'finalbody'):
            found += _executed(getattr(node, field, []))
        for handler in getattr(node, 'handlers', []):
            found += _executed(handler.body)
    return found


def test_no_import_runs_in_a_circle():
    imports = module_imports()
    assert 'dsnet_mm.resizers.ops.size' in imports['dsnet_mm.models.data_preprocessors.mixin']
    left = dict(imports)
    while left:
        # Modules that import only what has been taken away already.
        done = {module for module, found in left.items() if not found & left.keys()}
        assert done, f'imports run in a circle among {sorted(left)}'
        left = {module: found for module, found in left.items() if module not in done}


def room(module: str) -> str | None:
    """The innermost room that a module is in; None for the package itself."""
    inside = [name for name in ROOMS if f'{module}.'.startswith(f'dsnet_mm.{name}.')]
    return max(inside, key=len, default=None)


def test_every_module_imports_from_its_own_room_and_lower_ones():
    imports = module_imports()
    assert {room(module) for module in imports} == {None, *ROOMS}
    assert [module for module in imports if room(module) is None] == ['dsnet_mm']
    up = {f'{module} imports {other}' for module, found in imports.items() for other in found
          if module != 'dsnet_mm' and other != 'dsnet_mm'
          and ROOMS.index(room(module)) < ROOMS.index(room(other))}
    assert not up
    assert imports['dsnet_mm'] == {'dsnet_mm.compat', 'dsnet_mm.public'}


def test_no_folder_has_more_than_twelve_files():
    tracked = subprocess.run(['git', 'ls-files'], cwd=ROOT, check=True, capture_output=True,
                             text=True).stdout.splitlines()
    folders = Counter(str(Path(file).parent) for file in tracked if not file.startswith('tests/'))
    del folders['.']
    assert folders['dsnet_mm/resizers'] > 5
    assert {folder: number for folder, number in folders.items() if number > 12} == {}

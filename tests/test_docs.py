"""The README and the pages in docs/: examples, links, and the site that is built of them."""
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from dsnet_mm import cli
from dsnet_mm.cli import compare

import pytest
from mmengine.utils import get_installed_path
from skimage import data, io

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')),
         *sorted((ROOT / 'configs').glob('*/README.md'))]


def commands(page: Path) -> list[list[str]]:
    """The command lines on a page, in words; those with placeholders or no arguments left out."""
    text = page.read_text().replace('\\\n', ' ')
    found = re.findall(r'^    ((?:python|bash|dsnet-mm) .*?)(?:\s+#.*)?$', text, flags=re.MULTILINE)
    found += re.findall(r'`((?:python tools/|dsnet-mm )[^`]*)`', text)
    words = (shlex.split(command) for command in found)
    placeholders = {'CONFIG', 'CHECKPOINT', 'DIR', 'NAME'}
    return [w for w in words if not placeholders & set(w) and (w[0] != 'dsnet-mm' or len(w) > 3)]


COMMANDS = [command for page in PAGES for command in commands(page)]


@pytest.fixture()
def folder(tmp_path, monkeypatch) -> Path:
    """A user's folder, with photographs in it."""
    (tmp_path / 'photos').mkdir()
    io.imsave(tmp_path / 'photos/cat.jpg', data.chelsea())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_python_examples_run(page, folder):
    if 'dsnet_mm::' in page.read_text() and not Path(get_installed_path('dsnet_mm')).exists():
        pytest.skip('the original mmengine does not find editable packages')
    blocks = re.findall(r'^```python\n(.*?)^```$', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    program = '\n'.join(blocks)
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    subprocess.run([sys.executable, '-c', program], check=True, cwd=folder,
                   env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=path))


def test_pages_have_examples():
    assert len(COMMANDS) > 25
    tools = {Path(word).stem for command in COMMANDS for word in command[1:2]}
    assert tools > {'train', 'test', 'compare', 'benchmark', 'export', 'predict', 'experiments'}


@pytest.mark.parametrize('command', COMMANDS, ids=shlex.join)
def test_commands_are_understood(command, folder, monkeypatch, data_root):
    """Every tool takes the arguments that the pages give it, and finds the configs."""
    program, script, *arguments = command
    monkeypatch.setenv('DSNET_MM_DATA', str(data_root))
    if program == 'dsnet-mm':
        if script == 'resize':  # which is quick enough to run
            assert cli.main([script, *arguments]) == 0
            out = arguments[arguments.index('--out') + 1]
            assert (folder / out / 'cat.jpg').exists()
            return
        module = importlib.import_module(cli.COMMANDS[script][0])
        understand(module, arguments, monkeypatch)
        return
    assert (ROOT / script).is_file()
    if program == 'bash':
        return
    if script == 'tools/datasets/make_dataset.py':
        assert not arguments
        return
    module = importlib.import_module(Path(script).stem)
    if script == 'tools/experiments.py':
        name, *more = arguments
        for compare_arguments in module.commands(name):
            compare.parse_args([*compare_arguments, *more])
        return
    if script == 'tools/analysis_tools/plot_results.py':  # quick enough to run, too
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', ['', *arguments, '--out', str(folder / 'plot.svg')])
        module.main()
        assert (folder / 'plot.svg').exists()
        return
    # In the package, of a thin script.
    understand(importlib.import_module(module.main.__module__), arguments, monkeypatch)


def understand(module: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads the arguments as the command does, and the config that they name."""
    monkeypatch.setattr(sys, 'argv', ['', *arguments])
    parse = getattr(module, 'parse_args', None) or module.make_parser().parse_args
    args = parse()
    monkeypatch.chdir(ROOT)
    if getattr(args, 'config', None) is not None:
        from dsnet_mm.config import load_config
        assert 'model' in load_config(args.config, getattr(args, 'cfg_options', None))


def test_the_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 140


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    for target in re.findall(r'\]\(([^)#\s]+)', page.read_text()):
        if not target.startswith('http'):
            assert (page.parent / target).exists(), target


def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path):
    result = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir',
                             str(tmp_path / 'site')], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout
    pages = list((tmp_path / 'site').rglob('*.html'))
    assert {'index.html', 'results.html'} <= {page.name for page in pages}
    loaded = re.compile(r'<(?:(?:script|img|iframe)[^>]*src|link[^>]*href)="(?:https?:)?//')
    assert not [page for page in pages if loaded.search(page.read_text())]
    reference = (tmp_path / 'site/reference/index.html').read_text()
    assert 'dsnet_mm.resizers.downsizenet.DownsizeNet' in reference and 'Raises' in reference


def test_no_table_stands_on_two_pages():
    seen: dict[str, Path] = {}
    for page in PAGES:
        for table in re.findall(r'(?:^\|.*\n)+', page.read_text(), flags=re.MULTILINE):
            assert table not in seen, (page, seen[table], table.splitlines()[0])
            seen[table] = page

"""What all tests share."""
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dsnet_mm  # noqa: F401  (before anything imports mmcv.ops)

import hypothesis
import pytest
import torch
from mmengine.registry import DefaultScope

torch.set_num_threads(1)
# No timed tests: the first call of anything in PyTorch is slow.
hypothesis.settings.register_profile('no deadline', deadline=None)
hypothesis.settings.load_profile('no deadline')
ROOT = Path(__file__).resolve().parents[1]
# Scripts, not packages.
sys.path[:0] = [str(ROOT / 'tools'), str(ROOT / 'tools/datasets'),
                str(ROOT / 'tools/analysis_tools')]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _scope() -> Iterator[None]:
    """mmengine's Runner leaves its scope to whatever is built after it."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def data_root() -> Path:
    """The folder of the real data sets."""
    default = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    root = Path(os.environ.get('DSNET_MM_DATA', default))
    if not root.is_dir():
        pytest.skip(f'no real data at {root}: set DSNET_MM_DATA')
    return root


@pytest.fixture
def pretrained(monkeypatch) -> Path:
    """The folder of ImageNet weights, which configs then load from."""
    default = Path(__file__).resolve().parents[2] / 'shared' / 'pretrained'
    folder = Path(os.environ.get('DSNET_MM_PRETRAINED', default))
    if not folder.is_dir():
        pytest.skip(f'no ImageNet weights at {folder}: set DSNET_MM_PRETRAINED')
    monkeypatch.setenv('DSNET_MM_PRETRAINED', str(folder))
    return folder


@pytest.fixture(scope='session')
def run_tool() -> Callable[..., str]:
    """Runs a script, or a command such as ``dsnet-mm export``, with arguments as a user does: in
    its own process, from the repository's root.

    Returns what it printed.
    """

    def run(script: str, *arguments: object, fails: bool = False) -> str:
        is_command = str(script).startswith('dsnet-mm ')
        program = ['-m', 'dsnet_mm.cli', *script.split()[1:]] if is_command else [script]
        command = [sys.executable, *program, *map(str, arguments)]
        environment = dict(os.environ, OMP_NUM_THREADS='1')
        result = subprocess.run(command, cwd=ROOT, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert bool(result.returncode) == fails, result.stdout
        return result.stdout

    return run


@pytest.fixture(scope='session')
def textures(tmp_path_factory, run_tool) -> Path:
    """A small built-in data set."""
    out = tmp_path_factory.mktemp('data') / 'textures'
    run_tool('tools/datasets/make_dataset.py', '--out', out, '--train', 16, '--val', 4)
    return out

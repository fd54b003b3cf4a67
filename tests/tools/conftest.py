"""The tools run as a user runs them: in a process of their own, from the repository's root."""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def run_tool() -> Callable[..., str]:
    """Runs a script with arguments; returns what it printed."""

    def run(script: str, *arguments: object, fails: bool = False) -> str:
        command = [sys.executable, script, *map(str, arguments)]
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
    run_tool('tools/make_dataset.py', '--out', out, '--train', 16, '--val', 4)
    return out

"""Style and types of the whole project, as configured in pyproject.toml."""
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements/onedl.txt'


def run(*command: str) -> None:
    result = subprocess.run([sys.executable, '-m', *command], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout


def test_ruff():
    run('ruff', 'check')


@pytest.mark.skipif(f'torch=={version("torch")}\n' not in REQUIREMENTS.read_text(),
                    reason=f'types are those of the PyTorch in {REQUIREMENTS.name}')
def test_mypy():
    run('mypy')

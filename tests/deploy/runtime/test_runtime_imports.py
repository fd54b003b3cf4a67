"""What runs an exported file needs neither PyTorch nor OpenMMLab's packages nor onnx."""
import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

from dsnet_mm.deploy import runtime

import pytest

PROGRAM = """
import importlib, sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # its import fails
importlib.import_module(sys.argv[1])
"""
BLOCKED = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'onnx', 'onnxscript')
MODULES = [f'{runtime.__name__}.{module.name}' for module in iter_modules(runtime.__path__)]


def run(module: str, *blocked: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', PROGRAM, module, *blocked], text=True,
                          capture_output=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize('module', [*MODULES, 'dsnet_mm.cli.predict'])
def test_runs_without(module):
    result = run(module, *BLOCKED)
    assert result.returncode == 0, result.stderr


def test_every_module_is_tested():
    assert {module.rsplit('.')[-1] for module in MODULES} == {
        file.stem for file in Path(runtime.__path__[0]).glob('*.py')} - {'__init__'}
    assert 'import of onnx halted' in run('dsnet_mm.deploy.export.precision', 'onnx').stderr


def test_files_needs_nothing():
    result = run('dsnet_mm.files', *BLOCKED, 'numpy', 'cv2', 'PIL', 'rich', 'onnxruntime')
    assert result.returncode == 0, result.stderr


def test_other_commands_need_little():
    for module, blocked in (('resize', ('onnx', 'onnxruntime', 'onnxscript')),
                            ('quantize', ('torch', 'torchvision', 'mmengine', 'mmcv'))):
        result = run(f'dsnet_mm.cli.{module}', *blocked)
        assert result.returncode == 0, result.stderr

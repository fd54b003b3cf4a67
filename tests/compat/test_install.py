"""When the stand-in for mmcv's compiled module is put in place, and what it answers."""
import subprocess
import sys

import pytest
import torch
from cases import stand_ins


def run(code: str) -> str:
    """Standard output of a fresh interpreter."""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@stand_ins
def test_missing_operator_is_importable_and_names_the_remedies():
    from mmcv.ops import nms_rotated
    with pytest.raises(NotImplementedError, match="'nms_rotated'.*install an mmcv with compiled.*or"
                       ' use a model'):
        nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)


@stand_ins
def test_import_of_dsnet_mm_is_light_and_enough():
    assert 'not compiled' in run(
        'import sys, dsnet_mm\n'
        'assert not {"mmcv", "mmdet", "torchvision"} & set(sys.modules)\n'
        'from mmengine.utils.dl_utils import collect_env; collect_env()\n'
        'from mmcv.ops import get_compiler_version; print(get_compiler_version())')


def test_compiled_operators_win(tmp_path):
    """An mmcv with a compiled module beside it is left alone."""
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').touch()
    (tmp_path / 'mmcv' / '_ext.py').write_text('who = "compiled"')
    assert run(f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
               'import dsnet_mm.compat; print(dsnet_mm.compat.install_ops())\n'
               'import mmcv._ext; print(mmcv._ext.who)') == 'False\ncompiled'


def test_nothing_happens_without_mmcv():
    assert run('import sys; sys.modules["mmcv"] = None\n'
               'import dsnet_mm.compat\n'
               'print(dsnet_mm.compat.install_ops(), "mmcv._ext" in sys.modules)') == 'False False'


def test_without_openmmlab_the_plain_parts_work_and_the_others_name_the_extra():
    assert 'mmdet' in run(
        'import sys\n'
        'for name in ("mmcv", "mmengine", "mmdet", "mmseg"): sys.modules[name] = None\n'
        'import torch, dsnet_mm\n'
        'assert dsnet_mm.DownsizeNet()(torch.rand(1, 3, 8, 8), (4, 4)).shape == (1, 3, 4, 4)\n'
        'import dsnet_mm.cli.resize, dsnet_mm.transforms\n'
        'assert dsnet_mm.transforms.Downsize((4, 4))(torch.rand(3, 8, 8)).shape == (3, 4, 4)\n'
        'try: dsnet_mm.DownsizeDetDataPreprocessor\n'
        'except ImportError as error: print(error); assert ".[onedl]" in str(error)')


def test_mmseg_configs_are_found():
    assert run('import dsnet_mm; from mmengine.config import Config; from mmengine.hub import '
               'get_config; print(get_config("mmseg::_base_/default_runtime.py").default_scope)'
               ) == 'mmseg'

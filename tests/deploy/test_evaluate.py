"""dsnet-mm evaluate: errors; tests/deploy/test_deploy.py compares its numbers."""
from dsnet_mm.cli import evaluate as tool

import pytest
from written import write


def test_a_file_of_other_classes(data_root, tmp_path):
    file = write(tmp_path / 'model.onnx')
    with pytest.raises(SystemExit, match=r"the file has the classes \['a', 'b', 'c', 'd'\], the"):
        tool.main(['configs/mini/drive/unet_drive.py', str(file), '--cfg-options',
                   f'data_root={data_root / "drive"}'])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SystemExit, match='there is no file .*none.onnx'):
        tool.main(['configs/mini/drive/unet_drive.py', str(tmp_path / 'none.onnx')])
    with pytest.raises(SystemExit, match='none.py'):
        tool.main([str(tmp_path / 'none.py'), str(write(tmp_path / 'model.onnx'))])

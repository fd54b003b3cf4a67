"""Files are written whole or not at all, and nobody else's."""
from dsnet_mm.files import atomic_write, check_output

import pytest


def test_what_fails_changes_nothing(tmp_path):
    file = tmp_path / 'model.onnx'
    file.write_text('old')
    (tmp_path / 'model.tmp.onnx').write_text('mine')
    with pytest.raises(ValueError, match='no more'), atomic_write(file) as unfinished:
        unfinished.write_text('new')
        raise ValueError('no more')
    assert file.read_text() == 'old'
    with atomic_write(file) as unfinished:
        assert unfinished.suffix == '.onnx'
        unfinished.write_text('new')
    assert file.read_text() == 'new' and (tmp_path / 'model.tmp.onnx').read_text() == 'mine'
    assert {each.name for each in tmp_path.iterdir()} == {'model.onnx', 'model.tmp.onnx'}


def test_where_nothing_can_be_written(tmp_path):
    check_output(tmp_path / 'model.onnx')
    with pytest.raises(FileNotFoundError, match='there is no folder .*no to write model.onnx into'):
        check_output(tmp_path / 'no/model.onnx')
    with pytest.raises(IsADirectoryError, match='is a folder: give the name of a file'):
        check_output(tmp_path)

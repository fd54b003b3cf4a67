"""Files are written completely or not at all, and no input or existing file is overwritten."""
from pathlib import Path

from dsnet_mm.files import atomic_write, check_distinct, check_new, check_output, find_inputs

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
    with pytest.raises(IsADirectoryError, match='is a folder: give the path of a file'):
        check_output(tmp_path)


def test_inputs_are_found(tmp_path):
    for name in ('a.PNG', 'b.txt', 'more/c.jpg', 'more/out/d.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_inputs(iter([tmp_path]), tmp_path / 'more/out', ('.jpg', '.png'))
    assert found == {tmp_path / name: Path(name) for name in ('a.PNG', 'more/c.jpg')}
    file = tmp_path / 'b.txt'  # named by the user, whatever its suffix
    assert find_inputs([file], tmp_path / 'out', ('.jpg', )) == {file: Path('b.txt')}
    for paths, out, message in [
        (['none'], 'out', 'none does not exist'),
        (['more'], 'b.txt', 'b.txt is a file: give a folder'),
        (['more'], 'more', 'more is in the output folder .*more: give another --out'),
        (['more'], 'out', 'no images in .*more: looked for .tif .bmp'),
    ]:
        with pytest.raises((OSError, ValueError), match=message):
            find_inputs([tmp_path / path for path in paths], tmp_path / out, ('.tif', '.bmp'))


def test_nothing_is_overwritten(tmp_path):
    file = tmp_path / 'a.png'
    check_new(file, (), overwrite=False)
    file.touch()
    check_new(file, (), overwrite=True)
    with pytest.raises(FileExistsError, match='a.png exists already: give --overwrite'):
        check_new(file, (), overwrite=False)
    with pytest.raises(ValueError, match='a.png is an input, which is never overwritten'):
        check_new(tmp_path / 'more/../a.png', {file}, overwrite=True)
    check_distinct({file: Path('a'), tmp_path / 'b.png': Path('b')})
    with pytest.raises(ValueError, match='a.png and .*b.png would both become a: process them'):
        check_distinct({file: Path('a'), tmp_path / 'b.png': Path('a')})

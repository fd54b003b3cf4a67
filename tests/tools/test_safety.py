"""Files and values that a user was given by others: nothing in them runs."""
import os
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.comparison.runs import Run, locked

import pytest
import torch

CONFIG = 'configs/mini/textures/centernet_textures.py'


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.folder), )


@pytest.mark.parametrize('tool, before, after', [
    ('test', (), ()), ('train', ('--resume', ), ()), ('visualize', (), ('--images', )),
    ('compare', ('--variants', 'downsizenet', '--seeds', 0, '--train', 'resizer', '--from'), ()),
])
def test_no_tool_runs_what_is_in_a_checkpoint(tool, before, after, run_tool, textures, tmp_path):
    file, made = tmp_path / 'code.pth', tmp_path / 'made'
    torch.save(dict(state_dict={}, code=Code(made)), file)
    work_dir = ['--out' if tool == 'visualize' else '--work-dir', tmp_path / 'out']
    options = [] if tool == 'visualize' else ['--cfg-options', f'data_root={textures}/']
    if after:
        after = (*after, next((textures / 'JPEGImages').iterdir()))
    script = 'dsnet-mm visualize' if tool == 'visualize' else f'tools/{tool}.py'
    output = run_tool(script, CONFIG, *before, file, *after, *work_dir, *options, fails=True)
    assert 'holds more than weights' in output
    assert not made.exists()


def test_names_and_paths_never_reach_a_shell(tmp_path):
    code = f'$(mkdir {tmp_path}/made);mkdir made;`mkdir made`'.replace('/', '')
    run = Run(code, 0, {}, tmp_path / code, 'raise RuntimeError("read")', 1, 'mAP')
    run.prepare()
    with locked(tmp_path) as lock:
        run.start('none', 1, lock)
        run.process.wait()
    assert 'RuntimeError: read' in run.end_of_log()  # the worker found its config
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ['lock', run.folder.name, run.config_file.name])

"""Checkpoints are data: what is in them is loaded, and code in them is not run."""
import collections
import functools
import http.server
import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from dsnet_mm import DownsizeDetDataPreprocessor
from dsnet_mm.compat import weights_only

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.fileio import LocalBackend
from mmengine.fileio.backends.registry_utils import backends
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint


class Code:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.file), )


class Reached:
    """Reaches for what is beside what may be loaded."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return getattr, (torch.Tensor, 'map_')


class Changed:
    """Puts something into a class that other code uses."""

    def __reduce__(self) -> tuple:
        return _first, (HistoryBuffer, ), (None, dict(mean=dict))


class Addresses:
    """Lets NumPy take bytes for addresses of objects."""

    def __reduce__(self) -> tuple:
        return np.dtype, ('f8', False, True), (3, '<', None, None, None, -1, -1, 63)


def _first(value: object) -> object:
    return value


def load(file: Path) -> dict:
    return CheckpointLoader.load_checkpoint(str(file), map_location='cpu', logger='silent')


@pytest.mark.parametrize('zipped', [True, False])
def test_what_mmengine_saves_is_loaded(zipped, tmp_path):
    log = HistoryBuffer([1., 2., 4.], [1, 1, 2])
    given = dict(
        state_dict={'a': torch.rand(2, 3), 'b': torch.arange(4), 'half': torch.rand(2).half()},
        optimizer=dict(state={0: dict(step=torch.tensor(3.), exp_avg=torch.rand(2))},
                       param_groups=[dict(lr=np.float64(0.1), betas=(0.9, 0.99), params=[0])]),
        message_hub=dict(log_scalars={'loss': log}, runtime_info=dict(
            metric=np.float32(0.5), count=np.int64(7), flag=np.bool_(True),
            palette=np.eye(3, dtype=np.uint8), names=np.array(['a', 'b']))),
        meta=dict(epoch=3, cfg='model = dict()', dataset_meta=dict(classes=('cat', 'dog'))))
    file = tmp_path / 'epoch_3.pth'
    torch.save(given, file, _use_new_zipfile_serialization=zipped)
    loaded = load(file)
    for key, value in given['state_dict'].items():
        assert torch.equal(loaded['state_dict'][key], value)
    assert loaded['meta'] == given['meta']
    np.testing.assert_equal(loaded['message_hub']['runtime_info'],
                            given['message_hub']['runtime_info'])
    group = loaded['optimizer']['param_groups'][0]
    assert group == given['optimizer']['param_groups'][0] and type(group['lr']) is np.float64
    again = loaded['message_hub']['log_scalars']['loss']
    for statistic in ('min', 'max', 'mean', 'current'):
        assert again.statistics(statistic) == log.statistics(statistic)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('kind', [Code, Reached])
def test_code_is_refused(kind, zipped, tmp_path):
    file, touched = tmp_path / 'code.pth', tmp_path / 'touched'
    code = Code(touched) if kind is Code else Reached()
    torch.save(dict(state_dict={}, code=code), file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match=f'{file} holds more than weights.*state_dict'):
        load(file)
    assert not touched.exists()
    if kind is Code:  # it would have
        torch.load(file, weights_only=False)
        assert touched.exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('protocol', [2, 4])
def test_all_that_is_data_is_loaded(zipped, protocol, tmp_path):
    numbers = [np.dtype(name).type(1) for name in (
        'bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
        'float16', 'float32', 'float64', 'complex64')]
    given = [
        *numbers, *(np.full((2, 3), number, order='F') for number in numbers), np.str_('a'),
        np.datetime64('2026-01-01'), np.bytes_(b'a'), np.zeros((0, 3)), {1, 2}, frozenset('a'),
        b'a', bytearray(b'a'), 1j, 2**70, slice(1, 2), range(3), torch.float16, torch.Size([1]),
        torch.device('cpu'), Path('a/b'), PurePosixPath('a'), PureWindowsPath('a'),
        collections.Counter('aab'), collections.deque([np.int8(1)], maxlen=3),
        collections.OrderedDict(a=np.int16(1)),
        *(collections.defaultdict(factory, a=numbers) for factory in (None, int, list, dict, str)),
        ConfigDict(a=1, b=[ConfigDict(c=(Path('d'), ))])]
    file = tmp_path / 'data.pth'
    torch.save(given, file, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    for value, loaded in zip(given, load(file), strict=True):
        assert type(loaded) is type(value)
        np.testing.assert_equal(loaded, value)
        for detail in ('dtype', 'maxlen', 'default_factory', 'shape'):
            assert getattr(loaded, detail, None) == getattr(value, detail, None)


@pytest.mark.parametrize('system', ['Posix', 'Windows'])
def test_paths_of_another_system_are_loaded_as_such(system, tmp_path):
    file, path = tmp_path / 'path.pth', f'{system}Path'
    pure = dict(Posix=PurePosixPath, Windows=PureWindowsPath)[system]

    class There:

        def __reduce__(self) -> tuple:
            return getattr(pathlib, path), ('a', 'b')

    torch.save(There(), file)
    loaded = load(file)
    assert isinstance(loaded, pure) and loaded.parts == ('a', 'b')


def test_programs_of_torchscript_are_refused(tmp_path):
    file = tmp_path / 'script.pth'
    torch.jit.script(torch.nn.Linear(1, 1)).save(file)
    with pytest.raises(pickle.UnpicklingError, match='holds more than weights.*TorchScript'):
        load(file)


def test_no_class_is_changed_and_no_bytes_are_addresses(tmp_path, monkeypatch):
    file, mean = tmp_path / 'file.pth', HistoryBuffer.mean
    torch.save(Addresses(), file)
    with pytest.raises(pickle.UnpicklingError, match='refused: .*float64.*in NumPy'):
        load(file)
    monkeypatch.setitem(weights_only._allowed(), f'{__name__}._first', _first)
    torch.save(Changed(), file)
    with pytest.raises(pickle.UnpicklingError, match='refused: a state for .*HistoryBuffer'):
        load(file)
    assert HistoryBuffer.mean is mean


def test_what_comes_over_the_net_is_data_too(tmp_path, monkeypatch):
    """By http, by the names of model zoos, and from an object store."""
    made, served = tmp_path / 'made', tmp_path / 'served'
    served.mkdir()
    torch.save(dict(state_dict=dict(a=torch.ones(2))), served / 'good.pth')
    torch.save(dict(state_dict={}, code=Code(made)), served / 'code.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    with serving(served) as address:
        (tmp_path / 'open_mmlab.json').write_text(json.dumps(
            {'code': f'{address}/code.pth', 'on_disk': str(served / 'code.pth')}))
        good = CheckpointLoader.load_checkpoint(f'{address}/good.pth', 'cpu', 'silent')
        assert torch.equal(good['state_dict']['a'], torch.ones(2))
        for name in (f'{address}/code.pth', 'open-mmlab://code', 'open-mmlab://on_disk'):
            with pytest.raises(pickle.UnpicklingError, match='holds more than weights'):
                CheckpointLoader.load_checkpoint(name, 'cpu', 'silent')

    class Store(LocalBackend):

        def get(self, filepath: str) -> bytes:
            return (served / filepath.split('/')[-1]).read_bytes()

    monkeypatch.setitem(backends, 'petrel', Store)
    good = CheckpointLoader.load_checkpoint('s3://a/good.pth', 'cpu', 'silent')
    assert torch.equal(good['state_dict']['a'], torch.ones(2))
    with pytest.raises(pickle.UnpicklingError, match='the checkpoint holds more than weights'):
        CheckpointLoader.load_checkpoint('s3://a/code.pth', 'cpu', 'silent')
    assert not made.exists()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of its files, on this machine."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


def test_who_trusts_a_file_says_so(tmp_path, monkeypatch):
    torch.save(dict(state_dict={}, code=Code(tmp_path / 'made')), tmp_path / 'code.pth')
    with pytest.raises(pickle.UnpicklingError, match=f'set {weights_only.TRUST}=1'):
        load(tmp_path / 'code.pth')
    monkeypatch.setenv(weights_only.TRUST, '1')
    load(tmp_path / 'code.pth')
    assert (tmp_path / 'made').exists()


INFERENCERS = {
    'mmdet': 'from mmdet.apis import DetInferencer\nDetInferencer({config!r}, {file!r}, "cpu")',
    'mmseg': 'from mmseg.apis import MMSegInferencer\n'
             'MMSegInferencer({config!r}, {file!r}, device="cpu")'}


@pytest.mark.parametrize('package', INFERENCERS)
def test_import_of_the_package_alone_guards_the_inferencers(package, tmp_path):
    config = {'mmdet': 'centernet_textures', 'mmseg': 'deeplabv3plus_textures'}[package]
    file, made = tmp_path / 'code.pth', tmp_path / 'made'
    torch.save(dict(state_dict={}, meta={}, code=Code(made)), file)
    program = INFERENCERS[package].format(config=f'configs/mini/textures/{config}.py',
                                          file=str(file))
    result = subprocess.run([sys.executable, '-c', f'import dsnet_mm\n{program}'],
                            capture_output=True, text=True)
    assert 'holds more than weights and was not loaded' in result.stderr
    assert not made.exists()


def test_nothing_else_changes_anything_in_the_process():
    program = """
import dsnet_mm, sys
from mmengine.config import utils
from mmengine.runner import CheckpointLoader, checkpoint

def state():
    return dict(CheckpointLoader._schemes), dict(utils.MODULE2PACKAGE), dict(vars(checkpoint))

before = state()
import dsnet_mm.config, dsnet_mm.registry, dsnet_mm.engine.checkpoints, dsnet_mm.engine.hooks
assert state() == before
"""
    subprocess.run([sys.executable, '-c', program], check=True)


def test_the_resizers_init_cfg_refuses_code(tmp_path):
    torch.save(dict(state_dict={}, code=Code(tmp_path / 'touched')), tmp_path / 'code.pth')
    ours = DownsizeDetDataPreprocessor(scale=0.5, resizer=dict(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'code.pth'),
        prefix='data_preprocessor.resizer.')))
    with pytest.raises(pickle.UnpicklingError, match='holds more than weights'):
        ours.init_weights()
    assert not (tmp_path / 'touched').exists()


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'none.pth'))

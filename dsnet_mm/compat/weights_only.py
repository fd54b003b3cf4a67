"""mmengine's loaders of checkpoints, restricted to data.

mmengine alone loads any pickled object, which can run any code. Here only tensors, NumPy's numbers
and arrays, Python's containers and paths, and the objects that mmengine itself saves are loaded.
"""
import codecs
import collections
import functools
import io
import os
import pathlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader, checkpoint
from torch._weights_only_unpickler import _get_allowed_globals

#: The environment variable that, set to 1, lets checkpoints run any code.
TRUST = 'DSNET_MM_TRUST_CHECKPOINTS'

# Methods that mmengine pickles along with its own objects, by class.
_FUNCTIONS = {HistoryBuffer: ('min', 'max', 'current', 'mean'),
              OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear')}
# Types whose instances may restore a state from the file.
_BUILT = (torch.Tensor, np.ndarray, np.dtype, collections.OrderedDict, HistoryBuffer)


def _function(owner: type, name: str) -> Callable:
    """``getattr`` for the functions above, and nothing else."""
    if name not in _FUNCTIONS.get(owner, ()):
        raise pickle.UnpicklingError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


@functools.cache
def _allowed() -> dict[str, Any]:
    """The types and functions that a checkpoint may name, PyTorch's own list among them."""
    allowed: dict[str, Any] = dict(_get_allowed_globals())
    kind: type
    for kind in (set, frozenset, list, tuple, dict, int, float, complex, bool, str, bytes,
                 bytearray, slice, range):
        allowed[f'builtins.{kind.__name__}'] = kind
    # Names of Python 2, which old pickle protocols keep.
    allowed.update({'builtins.long': int, 'builtins.unicode': str, 'builtins.xrange': range,
                    'builtins.getattr': _function})
    # PyTorch 2.1 lacks these. Old protocols pickle bytes as text, which codecs.encode turns back.
    allowed.update({'_codecs.encode': codecs.encode, 'torch.device': torch.device})
    for kind in (collections.OrderedDict, collections.defaultdict, collections.deque,
                 collections.Counter):
        allowed[f'collections.{kind.__name__}'] = kind
    for system, pure in (('Posix', pathlib.PurePosixPath), ('Windows', pathlib.PureWindowsPath)):
        is_here = type(Path()) is getattr(pathlib, f'{system}Path')
        for module in ('pathlib', 'pathlib._local'):  # Python 3.13
            allowed[f'{module}.{pure.__name__}'] = pure
            allowed[f'{module}.{system}Path'] = Path if is_here else pure
    new_array, new_number = (x.__reduce__()[0] for x in (np.zeros(1), np.float64(1)))
    for core in ('core', '_core'):  # NumPy 1 and 2
        allowed[f'numpy.{core}.multiarray._reconstruct'] = new_array
        allowed[f'numpy.{core}.multiarray.scalar'] = new_number
    for kind in (np.ndarray, np.dtype, ConfigDict, *_FUNCTIONS):
        allowed[f'{kind.__module__}.{kind.__name__}'] = kind
    for owner, names in _FUNCTIONS.items():
        for name in names:
            allowed[f'{owner.__module__}.{owner.__name__}.{name}'] = getattr(owner, name)
    return allowed


class _Unpickler(pickle._Unpickler):
    """Python's unpickler (the one written in Python), which refuses all but :func:`_allowed`."""
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'.replace('__builtin__', 'builtins')  # Python 2's name
        if full not in _allowed():
            raise pickle.UnpicklingError(f'refused: {full}')
        return _allowed()[full]

    def load_build(self) -> None:
        instance = self.stack[-2]  # type: ignore[attr-defined]
        if not isinstance(instance, _BUILT):
            raise pickle.UnpicklingError(f'refused: a state for {instance!r}')
        super().load_build()  # type: ignore[misc]
        # A forged state can make NumPy read bytes as addresses of objects.
        if isinstance(instance, np.dtype) and (
                instance.kind in 'OV' or instance.flags != np.dtype(instance.str).flags):
            raise pickle.UnpicklingError(f'refused: {instance!r} in NumPy')

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def _restricted_pickle() -> ModuleType:
    """A module for ``torch.load`` to use instead of ``pickle``."""
    restricted = ModuleType('restricted pickle')
    restricted.Unpickler = _Unpickler  # type: ignore[attr-defined]
    restricted.load = lambda *args, **kwargs: _Unpickler(*args, **kwargs).load()  # type: ignore
    return restricted


class _Torch:
    """The module ``torch`` with :func:`load` instead of its own."""

    def __getattr__(self, name: str) -> Any:
        return load if name == 'load' else getattr(torch, name)


def install() -> None:
    """Makes all of mmengine's loaders use :func:`load`, wherever the file is."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    checkpoint.torch = _Torch()
    # The loaders of http://, https://, torchvision://, open-mmlab:// and mmcls:// call this.
    checkpoint.load_url = load_from_url
    # OneDL's mmengine calls this; its own would fall back to running any code.
    checkpoint._safe_torch_load = load


def load(file: str | Path | IO[bytes], map_location: Any = None, **_: Any) -> Any:
    """``torch.load``, which raises pickle.UnpicklingError if the file holds more than data."""
    if os.environ.get(TRUST) == '1':
        return torch.load(file, map_location, weights_only=False)
    try:
        with warnings.catch_warnings():
            # torch.load only warns of a TorchScript archive, and loads the program in it.
            warnings.filterwarnings('error', '.*TorchScript archive', UserWarning)
            return torch.load(file, map_location, pickle_module=_restricted_pickle(),
                              weights_only=False)
    except (pickle.UnpicklingError, UserWarning) as error:
        what = file if isinstance(file, (str, Path)) else 'the checkpoint'
        raise pickle.UnpicklingError(
            f'{what} holds more than weights and was not loaded, as that could run any code '
            f'({error}): where you trust the file, save its state_dict alone, with '
            f'torch.save(dict(state_dict=...)), or set {TRUST}=1 in the environment') from error


def load_from_local(filename: str | Path, map_location: Any = None) -> Any:
    """Loads a checkpoint from the disk; raises as :func:`load`, or FileNotFoundError."""
    file = Path(filename).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f'there is no checkpoint {file}')
    return load(file, map_location)


def load_from_url(url: str, model_dir: str | None = None, map_location: Any = None,
                  progress: bool = True) -> Any:
    """Loads a checkpoint from the internet, downloaded once to PyTorch's own folder."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    file = folder / Path(urlparse(url).path).name
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), progress=progress)
    return load_from_local(file, map_location)


def check_data(value: Any, path: str) -> None:
    """Raises TypeError if a value at this path in a checkpoint could not be loaded again."""
    if type(value) in (torch.Tensor, torch.nn.Parameter, str, int, float, bool, type(None)):
        return
    if type(value) in (dict, collections.OrderedDict, ConfigDict):
        for key, item in dict.items(value):
            check_data(key, f'a key of {path}')
            check_data(item, f'{path}[{key!r}]')
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            check_data(item, f'{path}[{index}]')
    elif not is_data(value):
        raise TypeError(
            f'{path} is {value!r}, a {type(value).__name__}: saved in a checkpoint it could not be '
            'loaded again, as only data is loaded; convert it to numbers, strings, arrays, dicts '
            'or lists')


def is_data(value: Any) -> bool:
    """Whether a value, once saved in a checkpoint, can be loaded again."""
    try:
        _Unpickler(io.BytesIO(pickle.dumps(value, protocol=2))).load()
    except (pickle.PickleError, AttributeError, TypeError):  # from pickle, for what it cannot write
        return False
    return True

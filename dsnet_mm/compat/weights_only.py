"""Checkpoints are data: mmengine's loader of local files without running code that is in them.

mmengine loads what PyTorch's ``weights_only`` refuses without it, and older versions never ask for
it. Besides tensors, mmengine's checkpoints have NumPy arrays and its own ``HistoryBuffer``.
"""
import codecs
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader


def _statistic(owner: type, name: str) -> Any:
    """``getattr`` for a HistoryBuffer's own functions, the only ones it is pickled with."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


def _allowed() -> dict[str, Callable]:
    """What is in mmengine's checkpoints besides tensors, by the names it is pickled with."""
    new_array, new_number = (x.__reduce__()[0] for x in (np.zeros(1), np.float64(1)))
    allowed = {'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
               'builtins.getattr': _statistic, 'numpy.ndarray': np.ndarray,
               'numpy.dtype': np.dtype}
    for core in ('core', '_core'):  # NumPy 1 and 2
        allowed[f'numpy.{core}.multiarray._reconstruct'] = new_array
        allowed[f'numpy.{core}.multiarray.scalar'] = new_number
    for name in ('bool', 'uint8', 'uint32', 'int32', 'int64', 'float32', 'float64', 'str'):
        kind = type(np.dtype(name))
        allowed[f'{kind.__module__}.{kind.__name__}'] = kind
    return allowed


def _restricted_pickle() -> ModuleType:
    """pickle with the same limits for PyTorch before 2.6, whose ``weights_only`` takes no more
    classes than its own. What these are it says itself."""
    from torch._weights_only_unpickler import _get_allowed_globals
    allowed = {**_get_allowed_globals(), **_allowed(), '_codecs.encode': codecs.encode}

    class Unpickler(pickle.Unpickler):

        def find_class(self, module: str, name: str) -> Any:
            full = f'{module}.{name}'.replace('__builtin__', 'builtins')  # Python 2's name
            if full not in allowed:
                raise pickle.UnpicklingError(f'refused: {full}')
            return allowed[full]

    restricted = ModuleType('restricted pickle')
    restricted.Unpickler = Unpickler  # type: ignore[attr-defined]
    restricted.load = lambda *args, **kwargs: Unpickler(*args, **kwargs).load()  # type: ignore
    return restricted


def install() -> None:
    """Registers :func:`load_from_local` with mmengine."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)


def load_from_local(filename: str | Path, map_location: Any = None) -> Any:
    """Loads a checkpoint, as mmengine does.

    Raises:
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If there is more in it than weights and mmengine's log.
    """
    file = Path(filename).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f'there is no checkpoint {file}')
    try:
        if hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'):  # PyTorch 2.6
            allowed: list = [(value, name) for name, value in _allowed().items()]
            with torch.serialization.safe_globals(allowed):
                return torch.load(file, map_location, weights_only=True)
        return torch.load(file, map_location, pickle_module=_restricted_pickle(),
                          weights_only=False)
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(
            f'{file} holds more than weights and was not loaded, as that could run any code: where '
            'you trust the file, save its state_dict alone, with torch.save(dict(state_dict=...))'
        ) from error

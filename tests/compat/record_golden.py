"""Records tests/compat/golden.npz with an mmcv that has compiled operators.

Run from the repository root, in an environment with a compiled mmcv (the committed file comes
from the onedl-mmcv 2.3.6 wheel for torch 2.9.1 on the CPU):

    PYTHONPATH=tests/compat python tests/compat/record_golden.py
"""
from importlib.machinery import PathFinder
from pathlib import Path

import mmcv
import numpy as np
from cases import flatten, run_cases

if PathFinder.find_spec('mmcv._ext', mmcv.__path__) is None:
    raise SystemExit(f'mmcv {mmcv.__version__} has no compiled operators: nothing to record')
path = Path(__file__).with_name('golden.npz')
np.savez_compressed(path, **{name: flatten(values) for name, values in run_cases().items()})
print(f'{path}: {path.stat().st_size / 1024:.1f} KB')

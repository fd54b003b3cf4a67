"""DownsizeNet for OpenMMLab: a learned resizer in front of any mmdet or mmseg model.

The public names are in ``public.py``; they are imported at their first use, as the resizers need
only torch, and exported files not even that. What importing this package changes in the process is
in ``compat/``.
"""
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from dsnet_mm import compat
from dsnet_mm.public import PUBLIC

if TYPE_CHECKING:
    from dsnet_mm.resizers import *  # noqa: F403

__version__ = '0.1.0'

_MODULES = {name: module for module in PUBLIC for name in module.names}
_SUBMODULES = {module.name for module in pkgutil.iter_modules(__path__)}  # noqa: F405
__all__ = [name for name, module in _MODULES.items() if module.requires == 'torch']

compat.install()


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f'{__name__}.{name}')
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = _MODULES[name]
    try:
        return getattr(importlib.import_module(module.name), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'dsnet_mm.{name} needs {module.requires}, but {error.name!r} is not installed: '
            "in dsnet_mm's folder, pip install '.[onedl]' (or '.[openmmlab]' for the original "
            'packages)'
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_SUBMODULES})

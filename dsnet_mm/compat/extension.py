"""A stand-in for the compiled module ``mmcv._ext``."""
import importlib
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

NAME = 'mmcv._ext'


class OpsOnTorchvision(ModuleType):
    """The module ``mmcv._ext``. mmcv looks up its operators at import time, so those without a
    counterpart exist too, and raise an error when they are called."""

    def __init__(self) -> None:
        super().__init__(NAME, doc=__doc__)
        # mmengine looks for compiled operators with find_spec, which needs a spec.
        self.__spec__ = ModuleSpec(NAME, loader=None, origin='dsnet_mm.compat.ops')

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        # At the first use only, as `import dsnet_mm` must not import torchvision.
        ops = importlib.import_module('dsnet_mm.compat.ops')
        op = getattr(ops, name, None) or partial(_not_compiled, name)
        setattr(self, name, op)
        return op


def _not_compiled(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        f'the mmcv operator {name!r} is not compiled here, and torchvision has no counterpart: '
        'install an mmcv with compiled operators, or use a model that does not need it')

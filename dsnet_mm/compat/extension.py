"""A stand-in for the compiled module ``mmcv._ext``."""
import importlib
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

NAME = 'mmcv._ext'


class OpsOnTorchvision(ModuleType):
    """The module ``mmcv._ext``, with every operator importable.

    mmcv asks for its operators by name at import time and calls them later, so a missing one must
    exist until it is called.
    """

    def __init__(self) -> None:
        super().__init__(NAME, doc=__doc__)
        # mmengine looks for compiled operators with find_spec, which insists on a spec.
        self.__spec__ = ModuleSpec(NAME, loader=None, origin='dsnet_mm.compat.ops')

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        # Not before the first use: `import dsnet_mm` should not cost an import of torchvision.
        ops = importlib.import_module('dsnet_mm.compat.ops')
        op = getattr(ops, name) if name in ops.__all__ else _missing(name)
        setattr(self, name, op)
        return op


def _missing(name: str) -> Callable:

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'the mmcv operator {name!r} is not compiled here, and torchvision has no counterpart: '
            'install an mmcv with compiled operators, or use a model that does not need it')

    return op

"""mmcv's compiled operators on torchvision, for an mmcv that was installed without them."""
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from dsnet_mm.compat.extension import NAME, OpsOnTorchvision

__all__ = ['install']


def install() -> bool:
    """Answers ``import mmcv._ext`` with torchvision's operators where mmcv has none compiled.

    mmcv itself is not imported. Does nothing where mmcv is absent, has compiled operators, or
    was answered before.

    Returns:
        bool: Whether mmcv's operators now run on torchvision.
    """
    if NAME in sys.modules:
        return isinstance(sys.modules[NAME], OpsOnTorchvision)
    mmcv = find_spec('mmcv')
    if mmcv is None or PathFinder.find_spec(NAME, mmcv.submodule_search_locations) is not None:
        return False
    sys.modules[NAME] = OpsOnTorchvision()
    return True

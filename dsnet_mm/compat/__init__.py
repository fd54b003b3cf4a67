"""Where OpenMMLab's packages, as installed, lack what this package's users need."""
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from dsnet_mm.compat.extension import NAME, OpsOnTorchvision

__all__ = ['install']


def install() -> None:
    """Puts everything in place; does nothing where nothing is missing, or a second time."""
    install_ops()
    find_mmseg_configs()


def install_ops() -> bool:
    """Answers ``import mmcv._ext`` with torchvision's operators where mmcv has none compiled.

    mmcv itself is not imported.

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


def find_mmseg_configs() -> None:
    """Lets mmengine find ``mmseg::`` configs where mmseg comes from OneDL.

    mmengine looks for a distribution called mmsegmentation; OneDL's has another name, but the
    module's name does as well.
    """
    if find_spec('mmengine') is None or find_spec('mmseg') is None:
        return
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.utils import is_installed
    if not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'

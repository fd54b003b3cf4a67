"""Where OpenMMLab's packages, as installed, lack what this package's users need.

``import dsnet_mm`` puts it in place, once; what needs mmdet itself follows when a preprocessor for
mmdet is built. Nothing else changes anything in the process.
"""
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from dsnet_mm.compat.extension import NAME, OpsOnTorchvision

__all__ = ['install', 'mend_mmdet']


def install() -> None:
    """Puts everything in place; does nothing where nothing is missing, or a second time."""
    install_ops()
    find_configs()
    guard_checkpoints()


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


def find_configs() -> None:
    """Lets mmengine find ``dsnet_mm::`` configs, and ``mmseg::`` ones where mmseg is OneDL's.

    mmengine looks for a distribution called mmsegmentation; OneDL's has another name, but the
    module's name does as well.
    """
    if find_spec('mmengine') is None:
        return
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.utils import is_installed
    MODULE2PACKAGE.setdefault('dsnet_mm', 'dsnet_mm')
    if find_spec('mmseg') is not None and not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'


def mend_mmdet() -> None:
    """Lets RTMDet-Ins give masks of the right size where a resizer changes the ratio."""
    from dsnet_mm.compat import rtmdet
    rtmdet.install()


def guard_checkpoints() -> None:
    """Lets mmengine, and so all that loads checkpoints by it, run no code that is in them."""
    if find_spec('mmengine') is not None:
        from dsnet_mm.compat import weights_only
        weights_only.install()

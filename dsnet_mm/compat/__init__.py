"""All that this package changes in OpenMMLab's packages within the process; see docs/install.md.

``import dsnet_mm`` calls :func:`install`. When a preprocessor for mmdet is built,
:func:`correct_mmdet` corrects an error in mmdet's RTMDet-Ins.
"""
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from dsnet_mm.compat.extension import NAME, OpsOnTorchvision

__all__ = ['install', 'correct_mmdet']


def install() -> None:
    """Makes the changes of ``import dsnet_mm`` that are needed in this environment.

    - torchvision's operators replace those of an mmcv without compiled ones (``ops.py``);
    - mmengine finds ``dsnet_mm::`` configs;
    - mmengine loads checkpoints as data and runs no code that is in them (``weights_only.py``).
    """
    install_ops()
    if find_spec('mmengine') is not None:
        find_configs()
        from dsnet_mm.compat import weights_only
        weights_only.install()


def install_ops() -> bool:
    """Replaces ``mmcv._ext`` by torchvision's operators if mmcv has none compiled, and returns
    whether mmcv's operators now run on torchvision; does not import mmcv."""
    if NAME in sys.modules:
        return isinstance(sys.modules[NAME], OpsOnTorchvision)
    mmcv = find_spec('mmcv')
    if mmcv is None or PathFinder.find_spec(NAME, mmcv.submodule_search_locations) is not None:
        return False
    sys.modules[NAME] = OpsOnTorchvision()
    return True


def find_configs() -> None:
    """Lets mmengine find ``dsnet_mm::`` configs, and ``mmseg::`` ones if mmseg is OneDL's, whose
    package mmengine does not find under the name mmsegmentation."""
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.utils import is_installed
    MODULE2PACKAGE.setdefault('dsnet_mm', 'dsnet_mm')
    if find_spec('mmseg') is not None and not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'


def correct_mmdet() -> None:
    """Corrects the size of RTMDet-Ins's masks where a resizer changes the aspect ratio."""
    from dsnet_mm.compat import rtmdet
    rtmdet.install()

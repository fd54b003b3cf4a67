"""All that this package changes in OpenMMLab's packages within the process.

``import dsnet_mm`` changes two things (:func:`install`):

- where mmcv has no compiled operators, torchvision's stand in for them (``extension.py``,
  ``ops.py``);
- mmengine loads checkpoints as data and runs no code that is in them (``weights_only.py``).

It also enters ``dsnet_mm::`` in mmengine's table of packages with configs. When a preprocessor for
mmdet is built, a mistake in mmdet's RTMDet-Ins is corrected (``rtmdet.py``). ``docs/install.md``
tells users of all of this.
"""
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from dsnet_mm.compat.extension import NAME, OpsOnTorchvision

__all__ = ['install', 'mend_mmdet']


def install() -> None:
    """Makes the changes of ``import dsnet_mm`` that are needed here; once is enough."""
    install_ops()
    find_configs()
    guard_checkpoints()


def install_ops() -> bool:
    """Puts torchvision's operators in the place of ``mmcv._ext`` where mmcv has none compiled.

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

    mmengine looks for an installed package called mmsegmentation. OneDL's has another name, and is
    found by the name of its module.
    """
    if find_spec('mmengine') is None:
        return
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.utils import is_installed
    MODULE2PACKAGE.setdefault('dsnet_mm', 'dsnet_mm')
    if find_spec('mmseg') is not None and not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'


def mend_mmdet() -> None:
    """Corrects the size of RTMDet-Ins's masks where a resizer changes the ratio of the sides."""
    from dsnet_mm.compat import rtmdet
    rtmdet.install()


def guard_checkpoints() -> None:
    """Makes mmengine load checkpoints without running code that is in them."""
    if find_spec('mmengine') is not None:
        from dsnet_mm.compat import weights_only
        weights_only.install()

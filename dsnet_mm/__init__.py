"""DownsizeNet for OpenMMLab: a learned resizer in front of any mmdet or mmseg model.

The resizers need torch alone, and running an exported file not even that; everything is imported
at its first use.
"""
import importlib
from typing import TYPE_CHECKING, Any

from dsnet_mm import compat

if TYPE_CHECKING:
    from dsnet_mm.resizers import DownsizeNet, DownsizeNetV2, FixedResizer

__version__ = '0.1.0'

# name -> (module, OpenMMLab package it needs)
_NEEDS_OPENMMLAB = {
    'DownsizeDetDataPreprocessor': ('dsnet_mm.preprocessors.det', 'mmdet'),
    'DownsizeSegDataPreProcessor': ('dsnet_mm.preprocessors.seg', 'mmseg'),
    'DownsizeMixin': ('dsnet_mm.preprocessors.mixin', 'mmengine'),
    'DownsizeResize': ('dsnet_mm.transforms.pipeline', 'mmcv'),
    'LearnedInterpolation': ('dsnet_mm.necks.interpolation', 'mmengine'),
    'DownsizeNeck': ('dsnet_mm.necks.downsize_neck', 'mmengine'),
    'DownsizeFPN': ('dsnet_mm.necks.fpn', 'mmdet'),
    'DownsizeSepASPPHead': ('dsnet_mm.models.sep_aspp_head', 'mmseg'),
}
__all__ = ['DownsizeNet', 'DownsizeNetV2', 'FixedResizer']

compat.install()


def __getattr__(name: str) -> Any:
    if name in __all__ or name == 'resizers':
        resizers = importlib.import_module('dsnet_mm.resizers')
        return resizers if name == 'resizers' else getattr(resizers, name)
    if name not in _NEEDS_OPENMMLAB:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, package = _NEEDS_OPENMMLAB[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'dsnet_mm.{name} needs {package}, but {error.name!r} is not installed: '
            "pip install 'dsnet-mm[onedl]' (or 'dsnet-mm[openmmlab]' for the original packages)"
        ) from error

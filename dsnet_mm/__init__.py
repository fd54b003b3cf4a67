"""DownsizeNet for OpenMMLab: a learned resizer in front of any mmdet or mmseg model.

The resizers need torch alone, and running an exported file not even that; everything is imported
at its first use.
"""
import importlib
from typing import TYPE_CHECKING, Any

from dsnet_mm import compat

if TYPE_CHECKING:
    from dsnet_mm.resizers import (
        MULLER,
        BilinearUpsampling,
        ConvexResizer,
        DownsizeNet,
        DownsizeNetV2,
        FixedResizer,
        GuidedUpsampling,
        OutputSize,
        TalebiMilanfarResizer,
    )

__version__ = '0.1.0'

# The package that it needs -> module -> names
_LAZY = {
    'torch': {'resizers': ['BilinearUpsampling', 'ConvexResizer', 'DownsizeNet', 'DownsizeNetV2',
                           'FixedResizer', 'GuidedUpsampling', 'MULLER', 'OutputSize',
                           'TalebiMilanfarResizer']},
    'mmengine': {
        'preprocessors.mixin': ['DownsizeMixin'],
        'necks.interpolation': ['LearnedInterpolation'],
        'necks.downsize_neck': ['DownsizeNeck'],
        'hooks': ['TrainResizerOnlyHook', 'CheckResizerHook'],
        'seeding': ['StepSeedHook'],
        'checkpoints': ['SafeCheckpointHook'],
        'visualization': ['DownsizeVisualizationHook'],
    },
    'mmcv': {'transforms.pipeline': ['DownsizeResize']},
    'mmdet': {
        'preprocessors.det': ['DownsizeDetDataPreprocessor'],
        'necks.fpn': ['DownsizeFPN'],
        'models.vgg': ['VGG'],
        'models.refinedet': ['RefineDetVGG', 'RefineDetNeck', 'RefineDetHead'],
        'models.light_head': ['LightHeadRoIExtractor', 'LightHeadBBoxHead'],
    },
    'mmseg': {
        'preprocessors.seg': ['DownsizeSegDataPreProcessor'],
        'models.fcn8s': ['FCNVGG', 'FCN8sHead'],
        'models.spnet': ['StripPooling', 'SPNetResNet', 'SPNetHead'],
        'models.sep_aspp_head': ['DownsizeSepASPPHead'],
        'models.guided_head': ['GuidedHead', 'GuidedEncoderDecoder'],
        'models.class_weighted_loss': ['ClassWeightedCrossEntropyLoss'],
    },
}
_FOUND = {name: (f'dsnet_mm.{module}', package) for package, modules in _LAZY.items()
          for module, names in modules.items() for name in names}
__all__ = ['BilinearUpsampling', 'ConvexResizer', 'DownsizeNet', 'DownsizeNetV2', 'FixedResizer',
           'GuidedUpsampling', 'MULLER', 'OutputSize', 'TalebiMilanfarResizer']

compat.install()


def __getattr__(name: str) -> Any:
    if name == 'resizers':
        return importlib.import_module('dsnet_mm.resizers')
    if name not in _FOUND:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, package = _FOUND[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'dsnet_mm.{name} needs {package}, but {error.name!r} is not installed: '
            "pip install 'dsnet-mm[onedl]' (or 'dsnet-mm[openmmlab]' for the original packages)"
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_FOUND})

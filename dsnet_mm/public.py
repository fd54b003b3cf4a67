"""The table of public names: ``dsnet_mm.X``, as an attribute and as a ``type`` in a config."""
from typing import NamedTuple


class Module(NamedTuple):
    """The public names of one module."""
    name: str  # of the module
    requires: str  # the package that it needs
    registry: str | None  # the registry in registry.py that its classes are in, if any
    names: tuple[str, ...]


DEFAULT_RESIZER = 'DownsizeNetV2'
RESIZERS = ('DownsizeNet', 'DownsizeNetV2', 'FixedResizer', 'SpaceToDepth',
            'TalebiMilanfarResizer', 'MULLER')

PUBLIC = (
    Module('dsnet_mm.resizers', 'torch', 'MODELS', RESIZERS),
    Module('dsnet_mm.resizers', 'torch', None,
           ('BilinearUpsampling', 'ConvexResizer', 'GuidedUpsampling', 'OutputSize')),
    Module('dsnet_mm.models.data_preprocessors.mixin', 'mmengine', None, ('DownsizeMixin', )),
    Module('dsnet_mm.models.data_preprocessors.det', 'mmdet', 'MODELS',
           ('DownsizeDetDataPreprocessor', )),
    Module('dsnet_mm.models.data_preprocessors.seg', 'mmseg', 'MODELS',
           ('DownsizeSegDataPreProcessor', )),
    Module('dsnet_mm.models.backbones.detail', 'mmengine', 'MODELS', ('DetailBackbone', )),
    Module('dsnet_mm.models.necks.interpolation', 'mmengine', 'MODELS', ('LearnedInterpolation', )),
    Module('dsnet_mm.models.necks.downsize_neck', 'mmengine', 'MODELS', ('DownsizeNeck', )),
    Module('dsnet_mm.models.necks.fpn', 'mmdet', 'MODELS', ('DownsizeFPN', )),
    Module('dsnet_mm.transforms.pipeline', 'mmcv', 'TRANSFORMS', ('DownsizeResize', )),
    Module('dsnet_mm.zoo.vgg', 'mmdet', 'MODELS', ('VGG', )),
    Module('dsnet_mm.zoo.refinedet', 'mmdet', 'MODELS',
           ('RefineDetVGG', 'RefineDetNeck', 'RefineDetHead')),
    Module('dsnet_mm.zoo.light_head', 'mmdet', 'MODELS',
           ('LightHeadRoIExtractor', 'LightHeadBBoxHead')),
    Module('dsnet_mm.zoo.fcn8s', 'mmseg', 'MODELS', ('FCNVGG', 'FCN8sHead')),
    Module('dsnet_mm.zoo.spnet', 'mmseg', 'MODELS',
           ('StripPooling', 'SPNetResNet', 'SPNetHead')),
    Module('dsnet_mm.models.heads.sep_aspp_head', 'mmseg', 'MODELS', ('DownsizeSepASPPHead', )),
    Module('dsnet_mm.models.heads.guided_head', 'mmseg', 'MODELS',
           ('GuidedHead', 'GuidedEncoderDecoder')),
    Module('dsnet_mm.models.losses.class_weighted_loss', 'mmseg', 'MODELS',
           ('ClassWeightedCrossEntropyLoss', )),
    Module('dsnet_mm.engine.hooks', 'mmengine', 'HOOKS',
           ('TrainResizerOnlyHook', 'CheckResizerHook')),
    Module('dsnet_mm.engine.seeding', 'mmengine', 'HOOKS', ('StepSeedHook', )),
    Module('dsnet_mm.engine.checkpoints', 'mmengine', 'HOOKS', ('SafeCheckpointHook', )),
    Module('dsnet_mm.visualization.hook', 'mmengine', 'HOOKS', ('DownsizeVisualizationHook', )),
)

"""This package's registries, children of mmengine's.

mmengine imports this file when it meets a type like ``dsnet_mm.DownsizeDetDataPreprocessor``, so
configs need no ``custom_imports``.
"""
from importlib.util import find_spec

from dsnet_mm import resizers
from dsnet_mm.public import DEFAULT_RESIZER, PUBLIC, RESIZERS
from dsnet_mm.resizers import pretrained

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry
from torch import nn

__all__ = ['HOOKS', 'MODELS', 'TRANSFORMS', 'build_resizer']


def _locations(registry: str) -> list[str]:
    """The modules that fill a registry, of those whose package is installed: a user may have only
    one of mmdet and mmseg."""
    return [module.name for module in PUBLIC
            if module.registry == registry and find_spec(module.requires)]


MODELS = Registry(
    'model', parent=MMENGINE_MODELS, scope='dsnet_mm', locations=_locations('MODELS'))
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='dsnet_mm', locations=_locations('HOOKS'))
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope='dsnet_mm',
    locations=_locations('TRANSFORMS'))

# Resizers import torch only, so they do not register themselves.
for _name in RESIZERS:
    MODELS.register_module(_name, module=getattr(resizers, _name))


def build_resizer(cfg: dict) -> nn.Module:
    """Builds a resizer from its config.

    Args:
        cfg (dict): ``type``, by default that of the trained resizer in ``weights``, or
            ``'DownsizeNetV2'``, and the arguments. The type is a resizer of this package, or any
            module registered with mmengine, with its scope (``'mmdet.MyResizer'``), whose forward
            takes images (N, C, H, W), floating-point or unsigned 8-bit, and a size (h, w), and
            returns floating-point images.

    Raises:
        ValueError: If the type is unknown.
    """
    cfg = {'type': DEFAULT_RESIZER, **pretrained.complete(cfg), '_scope_': 'dsnet_mm'}
    if isinstance(cfg['type'], str):
        name = cfg['type'].removeprefix('dsnet_mm.')
        if '.' not in name and name not in RESIZERS:
            raise ValueError(f'unknown resizer type {name!r}: use one of {RESIZERS}, '
                           'or a registered module with its scope, like "mmdet.MyResizer"')
    return MODELS.build(cfg)

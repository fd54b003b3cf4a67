"""Loading configs, and building the models that they describe."""
import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import Any

from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.public import DEFAULT_RESIZER

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope, Registry
from torch import nn

RESIZER = 'model.data_preprocessor.resizer'

# The files in the folder DSNET_MM_PRETRAINED that replace weights on OpenMMLab's server.
LOCAL_WEIGHTS = {
    'open-mmlab://mmdet/mobilenet_v2': 'mobilenet_v2_imagenet.pth',
    'mmcls://mobilenet_v2': 'mobilenet_v2_imagenet_mmseg.pth',
}


def load_config(config: str, options: dict | None = None) -> Config:
    """Loads a config and merges options into it, as OpenMMLab's tools do.

    Args:
        config (str): A path, or ``mmdet::...``, ``mmseg::...`` or ``dsnet_mm::...`` for one of
            these packages' configs.
        options (dict, optional): The key-value pairs of ``--cfg-options``.

    Raises:
        FileNotFoundError, ValueError: As :func:`merge_options`.
    """
    cfg = get_config(config) if '::' in config else Config.fromfile(config)
    merge_options(cfg, options or {})
    return cfg


def merge_options(cfg: Config, options: dict) -> None:
    """Merges the key-value pairs of ``--cfg-options`` into a config, in place.

    OpenMMLab's tools do the same, with three differences:

    - ``data_root`` also replaces the config's data root in every data set and every path below it,
      such as the evaluators' annotation files;
    - the model's ``data_preprocessor`` is copied to the top level if there is one, as in most
      mmseg configs: test-time augmentation reads that one;
    - another type of resizer replaces the config's resizer together with its arguments.

    If the environment variable ``DSNET_MM_PRETRAINED`` names a folder, its files replace the
    checkpoints of :data:`LOCAL_WEIGHTS` wherever the config names them.

    Raises:
        FileNotFoundError: If the folder ``DSNET_MM_PRETRAINED`` lacks one of these files.
        ValueError: If ``data_root`` is set for a config without one, or only the top-level
            preprocessor is one of this package.
    """
    options = copy.deepcopy(options)  # the config would share and change them
    if 'data_root' in options:
        _move_data_root(cfg, options['data_root'])
    kind = resizer_config(cfg)['type']
    new = options.get(f'{RESIZER}.type', kind)
    if resolve(new, MODELS, 'dsnet_mm') != resolve(kind, MODELS, 'dsnet_mm'):
        _preprocessor(cfg).pop('resizer', None)
    cfg.merge_from_dict(options)

    top, model = cfg.get('data_preprocessor'), cfg.get('model', {}).get('data_preprocessor')
    if top is not None and model is not None:
        scope = scope_of(cfg)
        if is_ours(top, scope) and not is_ours(model, scope):
            raise ValueError(f'{top.type} is set at the top level only, which training ignores: '
                             'set model.data_preprocessor')
        cfg.data_preprocessor = model

    pretrained = os.environ.get('DSNET_MM_PRETRAINED')
    if pretrained:
        _use_local_weights(cfg, Path(pretrained))


def resizer_config(cfg: Config) -> dict:
    """The config of the resizer in front of a config's model, with its ``type``."""
    return {'type': DEFAULT_RESIZER, **(_preprocessor(cfg).get('resizer') or {})}


def _preprocessor(cfg: Config) -> dict:
    return cfg.get('model', {}).get('data_preprocessor') or {}


def build_model(cfg: Config, module: dict | None = None) -> nn.Module:
    """Builds a module, by default ``cfg.model``, in the scope of a config, outside a Runner."""
    with in_scope(cfg, MODELS) as registry:
        return registry.build(cfg.model if module is None else module)


@contextmanager
def in_scope(cfg: Config, registry: Registry) -> Iterator[Registry]:
    """Yields the registry to build with, which resolves names without a scope in the config's."""
    scope = scope_of(cfg)
    with DefaultScope.overwrite_default_scope(scope):
        with registry.switch_scope_and_registry(scope) as own:
            yield own


def resolve(kind: Any, registry: Registry, scope: str | None = None) -> Any:
    """The class of a ``type`` in a config, which is a name or, in new-style configs, a class.

    ``registry`` is one of mmengine's own, such as ``MODELS``; ``scope`` is that of names without
    one. If nothing is registered under a name, the name is returned.
    """
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(scope) as own:
        try:
            return own.get(kind) or kind
        except RuntimeError:
            return kind


def text_of(cfg: Config) -> str:
    """The text of a config as mmengine writes it, but with importable paths of classes.

    mmengine's own path of mmdet's L1Loss is not: a function on it hides a module of the same name.
    """
    return Config(_map_leaves(cfg._to_lazy_dict(), (LazyObject, LazyAttr, type), _path)).pretty_text


def _path(lazy: Any) -> Any:
    value = lazy if isinstance(lazy, type) else lazy.build()
    name, module = getattr(value, '__name__', None), getattr(value, '__module__', None)
    if name is None or module is None:
        return lazy
    modules = accumulate(module.split('.'), '{}.{}'.format)  # the module and those above
    return next((f'{module}.{name}' for module in modules
                 if getattr(import_module(module), name, None) is value), lazy)


def scope_of(cfg: Config) -> str | None:
    """The scope of a config's names without one: its default, or the package of its model."""
    scope = cfg.get('default_scope')
    if scope is not None:
        return scope
    kind = resolve(cfg.get('model', {}).get('type'), MODELS)
    packages = [base.__module__.split('.')[0] for base in getattr(kind, '__mro__', ())]
    return next((name for name in packages if name in ('mmdet', 'mmseg')), None)


def is_ours(preprocessor: dict, scope: str | None = None) -> bool:
    """Whether a config describes a preprocessor with a resizer."""
    kind = resolve(preprocessor.get('type'), MODELS, scope)
    return isinstance(kind, type) and issubclass(kind, DownsizeMixin)


def _move_data_root(cfg: Config, new: str) -> None:
    old = cfg.get('data_root')
    if old is None:
        raise ValueError(f'cannot set data_root={new!r}: the config names no data_root at its top '
                         'level; set it in its data sets (train_dataloader.dataset.data_root=...)')

    folder, new = old.rstrip('/'), new.rstrip('/')

    def move(text: str) -> str:
        inside = text == folder or text.startswith(f'{folder}/')
        return new + text[len(folder):] if inside else text

    _map_leaves(cfg._cfg_dict, str, move)


def _use_local_weights(cfg: Config, folder: Path) -> None:
    def replace(text: str) -> str:
        if text not in LOCAL_WEIGHTS:
            return text
        file = folder / LOCAL_WEIGHTS[text]
        if not file.is_file():
            raise FileNotFoundError(
                f'there is no file {file.name!r}, which stands in for {text}, in the folder '
                f'DSNET_MM_PRETRAINED={str(folder)!r}: put it there, or unset the variable to '
                'download the weights')
        print(f'DSNET_MM_PRETRAINED: {file} instead of {text}')
        return str(file)

    _map_leaves(cfg._cfg_dict, str, replace)


def _map_leaves(node: Any, kind: type | tuple[type, ...], function: Callable) -> Any:
    """Applies a function to all values of a type below a node; dicts are changed in place."""
    if isinstance(node, dict):
        for key, value in dict.items(node):  # ConfigDict.items() would import every lazy object
            node[key] = _map_leaves(value, kind, function)
    elif isinstance(node, (list, tuple)):
        return type(node)(_map_leaves(value, kind, function) for value in node)
    elif isinstance(node, kind):
        return function(node)
    return node

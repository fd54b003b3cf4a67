"""Loading the config of a run, and building what it describes."""
import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

RESIZER = 'model.data_preprocessor.resizer'

# The files that stand in for weights on OpenMMLab's server, in the folder DSNET_MM_PRETRAINED.
LOCAL_WEIGHTS = {
    'open-mmlab://mmdet/mobilenet_v2': 'mobilenet_v2_imagenet.pth',
    'mmcls://mobilenet_v2': 'mobilenet_v2_imagenet_mmseg.pth',
}


def load_config(config: str, options: dict | None = None) -> Config:
    """Loads a config and merges options into it, as OpenMMLab's tools do.

    Args:
        config (str): A path, or ``mmdet::...``, ``mmseg::...`` or ``dsnet_mm::...`` for a config of
            these packages.
        options (dict, optional): The key-value pairs of ``--cfg-options``.

    Raises:
        FileNotFoundError, ValueError: As :func:`merge_options`.
    """
    cfg = get_config(config) if '::' in config else Config.fromfile(config)
    merge_options(cfg, options or {})
    return cfg


def merge_options(cfg: Config, options: dict) -> None:
    """Merges options into a config.

    On top of what OpenMMLab's tools do, two settings hold wherever the config repeats them, and a
    third takes what belongs to it along:

    - ``data_root`` among the options replaces the config's own data root in every data set and
      in every path below it, such as the evaluators' annotation files;
    - the model's ``data_preprocessor`` also becomes the top-level one, which most mmseg configs
      have besides and which wins in test-time augmentation;
    - another type of resizer among the options replaces the config's resizer, with all that was
      set for it.

    Where the environment variable ``DSNET_MM_PRETRAINED`` names a folder, its files then replace
    the checkpoints of :data:`LOCAL_WEIGHTS` wherever the config names them.

    Args:
        cfg (Config): Is changed.
        options (dict): The key-value pairs of ``--cfg-options``.

    Raises:
        FileNotFoundError: If such a file is not in the folder ``DSNET_MM_PRETRAINED``.
        ValueError: If ``data_root`` is set for a config without one, or only the top-level
            preprocessor is one of this package.
    """
    options = copy.deepcopy(options)  # mmengine takes some of it along, and some away
    if 'data_root' in options:
        _move_data_root(cfg, options['data_root'])
    kind = resizer_config(cfg)['type']
    if options.get(f'{RESIZER}.type', kind) != kind:
        _preprocessor(cfg).pop('resizer', None)
    cfg.merge_from_dict(options)

    top, model = cfg.get('data_preprocessor'), cfg.get('model', {}).get('data_preprocessor')
    if top is not None and model is not None:
        if is_ours(top) and not is_ours(model):
            raise ValueError(f'{top.type} is set at the top level only, which training ignores: '
                             'set model.data_preprocessor')
        cfg.data_preprocessor = model

    pretrained = os.environ.get('DSNET_MM_PRETRAINED')
    if pretrained:
        _use_local_weights(cfg, Path(pretrained))


def resizer_config(cfg: Config) -> dict:
    """The config of the resizer in front of a config's model, with its type."""
    return {'type': 'DownsizeNet', **(_preprocessor(cfg).get('resizer') or {})}


def _preprocessor(cfg: Config) -> dict:
    return cfg.get('model', {}).get('data_preprocessor') or {}


def build_model(cfg: Config, module: dict | None = None) -> nn.Module:
    """Builds a module in the scope of a config, outside a Runner.

    Args:
        cfg (Config): What names the ``default_scope``.
        module (dict, optional): The module's config; by default ``cfg.model``.
    """
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            return registry.build(cfg.model if module is None else module)


def is_ours(preprocessor: dict) -> bool:
    """Whether a preprocessor's config is one of this package."""
    return str(preprocessor.get('type')).startswith('dsnet_mm.')


def _move_data_root(cfg: Config, new: str) -> None:
    old = cfg.get('data_root')
    if old is None:
        raise ValueError(f'cannot set data_root={new!r}: the config names no data_root at its top '
                         'level; set it in its data sets (train_dataloader.dataset.data_root=...)')

    folder, new = old.rstrip('/'), new.rstrip('/')

    def move(text: str) -> str:
        inside = text == folder or text.startswith(f'{folder}/')
        return new + text[len(folder):] if inside else text

    _map_strings(cfg._cfg_dict, move)


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

    _map_strings(cfg._cfg_dict, replace)


def _map_strings(node: Any, function: Callable[[str], str]) -> Any:
    """Applies a function to every string below a node, in place where it is a dict."""
    if isinstance(node, dict):
        for key, value in node.items():
            node[key] = _map_strings(value, function)
    elif isinstance(node, (list, tuple)):
        return type(node)(_map_strings(value, function) for value in node)
    elif isinstance(node, str):
        return function(node)
    return node

"""Weights of checkpoints: those a model takes, and those of its resizer."""
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from dsnet_mm.preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import build_resizer

from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torch import Tensor, nn

RESIZER_PREFIX = 'data_preprocessor.resizer.'


def load_resizer(config: dict, path: str) -> nn.Module:
    """Builds a config's resizer with its weights from a checkpoint of the whole model.

    Args:
        config (dict): ``model.data_preprocessor.resizer`` of the model's config.
        path (str): The checkpoint.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it holds another resizer.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights = {key.removeprefix(RESIZER_PREFIX): value
               for key, value in checkpoint.get('state_dict', checkpoint).items()
               if key.startswith(RESIZER_PREFIX)}
    resizer = build_resizer({key: value for key, value in config.items() if key != 'init_cfg'})
    try:
        resizer.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the config's resizer, {config}: set "
                         f'model.data_preprocessor.resizer as it was trained.\n{error}') from None
    return resizer


def taken(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a model would load, by the model's names; nothing is loaded.

    The model's own loading finds them, as some models rename weights: mmdet's SemiBaseDetector
    loads a detector's weights into its student and its teacher.

    Args:
        model (nn.Module): The model, which is not changed.
        state (Mapping[str, Tensor]): The weights of a checkpoint.
    """
    found = {}

    def take(module: nn.Module, left: dict[str, Tensor], prefix: str, *_: object) -> None:
        for name in (*module._parameters, *module._buffers):
            if prefix + name in left:
                found[prefix + name] = left.pop(prefix + name)

    asked = OrderedDict((name.removeprefix('module.'), value) for name, value in state.items())
    # Versions of layers, by which some rename their weights.
    asked._metadata = getattr(state, '_metadata', OrderedDict())  # type: ignore[attr-defined]
    handles = [module._register_load_state_dict_pre_hook(take, with_module=True)
               for module in model.modules()]
    try:
        load_state_dict(model, asked, logger='silent')
    finally:
        for handle in handles:
            handle.remove()
    return found


def for_inner_resizer(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint's resizer, renamed for a model whose preprocessor is inside
    another one, as in semi-supervised detectors; empty if there is nothing to rename."""
    inner = [name for name, module in model.named_modules() if isinstance(module, DownsizeMixin)
             and name.startswith('data_preprocessor.')]
    moved = {f'{place}.resizer.{name.removeprefix(RESIZER_PREFIX)}': value for place in inner
             for name, value in state.items() if name.startswith(RESIZER_PREFIX)}
    return {} if moved.keys() & state.keys() else moved

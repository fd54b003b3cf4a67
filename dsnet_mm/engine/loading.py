"""Models, resizers and guided upsamplings with the weights of a model's checkpoint."""
from collections import OrderedDict
from collections.abc import Mapping
from textwrap import shorten

from dsnet_mm.config import build_model, resolve
from dsnet_mm.files import check_file
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import GuidedUpsampling
from dsnet_mm.resizers.guided import build_upsampling

from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torch import Tensor, nn


def load_model(cfg: Config, path: str) -> BaseModel:
    """Builds a config's model with the weights of a checkpoint, on the CPU; OSError without one,
    ValueError if it is damaged or of another model.

    As with mmdet's ``init_detector`` its ``dataset_meta`` is that of the checkpoint, or None.
    """
    check_file(path)
    model = revert_sync_batchnorm(build_model(cfg))
    try:
        checkpoint = load_checkpoint(model, path, map_location='cpu', strict=True)
    except RuntimeError as error:  # a line for each kind of difference, all names in it
        reasons = [shorten(line, 160) for line in str(error).splitlines()[1:] if line]
        raise ValueError(f'{path} is of another model than the config: give the config that it was '
                         f'trained with ({"; ".join(reasons[:3])})') from error
    model.dataset_meta = checkpoint.get('meta', {}).get('dataset_meta')
    return model


def load_resizer(config: dict, path: str) -> nn.Module:
    """Builds ``model.data_preprocessor.resizer`` of a config with its weights from a checkpoint of
    the whole model; FileNotFoundError without one, ValueError if it holds another resizer."""
    resizer = build_resizer({key: value for key, value in config.items() if key != 'init_cfg'})
    _load_part(resizer, path, 'data_preprocessor.resizer', config)
    return resizer


def is_guided(head: object, scope: str | None) -> bool:
    """Whether ``model.decode_head`` of a config is a GuidedHead with ``guided=True``."""
    if not isinstance(head, dict) or not head.get('guided', True):
        return False
    return resolve(head.get('type'), MODELS, scope) == resolve('dsnet_mm.GuidedHead', MODELS)


def load_upsampling(head: dict, path: str) -> GuidedUpsampling:
    """Builds the upsampling of a guided head, ``model.decode_head`` of a config, with its weights
    from a checkpoint of the whole model; raises as :func:`load_resizer`."""
    config = head.get('upsampling') or {}
    net = build_upsampling(config)
    _load_part(net, path, 'decode_head.upsampling', config)
    return net


def _load_part(net: nn.Module, path: str, name: str, config: dict) -> None:
    """Loads the weights of the part of a model that has this name in it."""
    check_file(path)
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    try:
        net.load_state_dict(_below(name, checkpoint.get('state_dict', checkpoint)))
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the config's {name.rpartition('.')[2]}, {config}: "
                         f'set model.{name} as it was trained.\n{error}') from None


def _below(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a part of a model, by their names within it."""
    return {key.removeprefix(f'{name}.'): value for key, value in state.items()
            if key.startswith(f'{name}.')}


def matching_weights(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint that a model would load, by the model's names; loads nothing.

    The model's own loading finds them, as some models rename weights: mmdet's SemiBaseDetector
    loads a detector's weights into its student and its teacher.
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


def moved_resizer(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint's resizer, renamed for a model whose preprocessor is inside
    another one, as in semi-supervised detectors; empty if there is nothing to rename."""
    moved = {f'{place}.resizer.{name}': value for place, module in model.named_modules()
             if isinstance(module, DownsizeMixin) and place.startswith('data_preprocessor.')
             for name, value in _below('data_preprocessor.resizer', state).items()}
    return {} if moved.keys() & state.keys() else moved

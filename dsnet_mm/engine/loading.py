"""Models with the weights of checkpoints, whole or their resizer or upsampling alone."""
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
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

RESIZER_PREFIX = 'data_preprocessor.resizer.'
UPSAMPLING_PREFIX = 'decode_head.upsampling.'


def load_model(cfg: Config, path: str) -> BaseModel:
    """Builds a config's model with the weights of a checkpoint, on the CPU.

    As with mmdet's ``init_detector`` its ``dataset_meta`` is that of the checkpoint, or None.

    Raises:
        OSError: If there is no such checkpoint.
        ValueError: If it is damaged, or that of another model.
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
    """Builds a config's resizer with its weights from a checkpoint of the whole model.

    Args:
        config (dict): ``model.data_preprocessor.resizer`` of the model's config.
        path (str): The checkpoint.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it holds another resizer.
    """
    weights = _part(path, RESIZER_PREFIX)
    resizer = build_resizer({key: value for key, value in config.items() if key != 'init_cfg'})
    _load_part(resizer, weights, path, RESIZER_PREFIX, config)
    return resizer


def is_guided(head: object, scope: str | None) -> bool:
    """Whether ``model.decode_head`` of a config is a GuidedHead that guides."""
    if not isinstance(head, dict) or not head.get('guided', True):
        return False
    return resolve(head.get('type'), MODELS, scope) == resolve('dsnet_mm.GuidedHead', MODELS)


def load_upsampling(head: dict, path: str) -> GuidedUpsampling:
    """Builds the upsampling of a guided head with its weights from a checkpoint of the whole model.

    Args:
        head (dict): ``model.decode_head`` of the model's config.
        path (str): The checkpoint.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it holds another upsampling.
    """
    arguments = head.get('upsampling') or {}
    weights = _part(path, UPSAMPLING_PREFIX)
    net = build_upsampling(arguments)
    _load_part(net, weights, path, UPSAMPLING_PREFIX, arguments)
    return net


def _part(path: str, prefix: str) -> dict[str, Tensor]:
    """The weights of a checkpoint that begin with a prefix, without it."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    return {key.removeprefix(prefix): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
            if key.startswith(prefix)}


def _load_part(net: nn.Module, weights: dict[str, Tensor], path: str, prefix: str,
               config: dict) -> None:
    """Loads the weights of a model's part, or says where its config differs."""
    place = prefix.removesuffix('.')
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the config's {place.rpartition('.')[2]}, {config}: "
                         f'set model.{place} as it was trained.\n{error}') from None


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

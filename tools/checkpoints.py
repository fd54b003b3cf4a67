"""Taking a resizer, or the upsampling of a guided head, out of the checkpoint of a whole model."""
from pathlib import Path

from dsnet_mm.config import resolve
from dsnet_mm.models.guided_head import GuidedHead, guided_upsampling
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import GuidedUpsampling

from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

PREFIX = 'data_preprocessor.resizer.'
UPSAMPLING = 'decode_head.upsampling.'


def load_resizer(config: dict, path: str) -> nn.Module:
    """The config's resizer with the weights of a checkpoint of the whole model.

    Args:
        config (dict): ``model.data_preprocessor.resizer`` of the model's config.
        path (str): The checkpoint.

    Raises:
        SystemExit: If there is no such checkpoint, or it holds another resizer.
    """
    weights = _part(path, PREFIX)
    resizer = build_resizer({key: value for key, value in config.items() if key != 'init_cfg'})
    try:
        resizer.load_state_dict(weights)
    except RuntimeError as error:
        raise SystemExit(f"{path} does not hold the config's resizer, {config}: set "
                         f'model.data_preprocessor.resizer as it was trained.\n{error}') from None
    return resizer


def is_guided(head: object, scope: str | None) -> bool:
    """Whether ``model.decode_head`` of a config is a GuidedHead that guides."""
    return isinstance(head, dict) and head.get('guided', True) and (
        resolve(head.get('type'), MODELS, scope) is GuidedHead)


def load_upsampling(head: dict, path: str) -> GuidedUpsampling:
    """The upsampling of a guided head with the weights of a checkpoint of the whole model.

    Args:
        head (dict): ``model.decode_head`` of the model's config.
        path (str): The checkpoint.

    Raises:
        SystemExit: If there is no such checkpoint, or it holds another upsampling.
    """
    arguments = head.get('upsampling') or {}
    weights = _part(path, UPSAMPLING)
    try:
        net = guided_upsampling(arguments)
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise SystemExit(f"{path} does not hold the config's upsampling, {arguments}: set "
                         f'model.decode_head.upsampling as it was trained.\n{error}') from None
    return net


def _part(path: str, prefix: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise SystemExit(f'no checkpoint {path}')
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    return {key.removeprefix(prefix): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
            if key.startswith(prefix)}

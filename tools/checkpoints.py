"""Taking a resizer out of the checkpoint of a whole model."""
from pathlib import Path

from dsnet_mm.registry import build_resizer

from mmengine.runner import CheckpointLoader
from torch import nn

PREFIX = 'data_preprocessor.resizer.'


def load_resizer(config: dict, path: str) -> nn.Module:
    """The config's resizer with the weights of a checkpoint of the whole model.

    Args:
        config (dict): ``model.data_preprocessor.resizer`` of the model's config.
        path (str): The checkpoint.

    Raises:
        SystemExit: If there is no such checkpoint, or it holds another resizer.
    """
    if not Path(path).is_file():
        raise SystemExit(f'no checkpoint {path}')
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights = {key.removeprefix(PREFIX): value
               for key, value in checkpoint.get('state_dict', checkpoint).items()
               if key.startswith(PREFIX)}
    resizer = build_resizer({key: value for key, value in config.items() if key != 'init_cfg'})
    try:
        resizer.load_state_dict(weights)
    except RuntimeError as error:
        raise SystemExit(f"{path} does not hold the config's resizer, {config}: set "
                         f'model.data_preprocessor.resizer as it was trained.\n{error}') from None
    return resizer

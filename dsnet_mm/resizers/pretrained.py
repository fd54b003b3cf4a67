"""Trained resizers and upsamplings as safetensors files of weights and arguments, without code.

Those in the package's ``weights/`` have names (:func:`names`); ``weights/README.md`` describes
them. ``dsnet-mm publish`` writes such a file from a checkpoint.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

Net = TypeVar('Net', bound='Pretrained')
FOLDER = Path(__file__).resolve().parents[1] / 'weights'


class Pretrained(nn.Module):
    """A network that can start from trained weights, whose name or file is ``weights``."""
    weights: str | Path | None = None

    @classmethod
    def from_pretrained(cls: type[Net], weights: str | Path, **options: Any) -> Net:
        """A trained network, with the arguments it was trained with.

        Args:
            weights (str | Path): A name or file that this module knows.
            **options: Other arguments.

        Raises:
            FileNotFoundError: If there are no such weights.
            ValueError: If they are of another type of network.
        """
        config = complete({**options, 'weights': weights})
        kind = config.pop('type')
        for net in (cls, *cls.__subclasses__()):
            if net.__name__ == kind:
                return net(**config)
        raise ValueError(f'the weights {str(weights)!r} are of a {kind}: use '
                         f'{kind}.from_pretrained')


def names() -> list[str]:
    """The names of the trained resizers in this package."""
    return sorted(file.stem for file in FOLDER.glob('*.safetensors'))


def read(weights: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """Reads the config (``type`` and arguments) and state dict (on the CPU) of a trained resizer.

    Args:
        weights (str | Path): One of :func:`names`, or a ``.safetensors`` file of :func:`to_bytes`.

    Raises:
        FileNotFoundError: If there is neither such a name nor such a file.
        ValueError: If the file is broken or of another program.
    """
    from safetensors import SafetensorError, safe_open  # networks without weights do not need it
    file = _find(weights)
    try:
        with safe_open(file, framework='pt') as tensors:
            config = json.loads((tensors.metadata() or {})['dsnet_mm'])
            state = {key: tensors.get_tensor(key) for key in tensors.keys()}
            return {'type': 'DownsizeNet', **config}, state
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f'{file} is broken or not a trained resizer ({error!r}): write it again with '
            '"dsnet-mm publish"') from error


def complete(config: dict) -> dict:
    """Adds to a config the type and arguments that its ``weights``, if any, were trained with.
    Errors are those of :func:`read`, and a ValueError if they are of another of our types."""
    weights = config.get('weights')
    if weights is None:
        return config
    trained, _ = read(weights)
    kind = config.get('type', trained['type'])
    path = f'{kind.__module__}.{kind.__name__}' if isinstance(kind, type) else str(kind)
    kind = path.split('.')[-1]
    is_ours = '.' not in path or path.startswith('dsnet_mm.')  # a user's own has a scope
    if is_ours and kind != trained['type']:
        raise ValueError(f'the weights {str(weights)!r} are of a {trained["type"]}, not of a '
                         f'{kind}: remove the type from the config')
    return {**trained, **config}


def load(net: nn.Module, weights: str | Path) -> None:
    """Loads trained weights into a network. Errors are those of :func:`read`, and a ValueError if
    they are of another network."""
    config, state = read(weights)
    kind = config.pop('type')
    try:
        net.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        arguments = ', '.join(f'{key}={value!r}' for key, value in config.items())
        raise ValueError(f'the weights {str(weights)!r} are of {kind}({arguments}), which '
                         f'is another network than this one: {error}') from error


def to_bytes(net: nn.Module, config: dict) -> bytes:
    """The contents of the file of a trained ``ConvexResizer`` or ``GuidedUpsampling``, whose
    arguments are ``config``."""
    from safetensors.torch import save
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    return save(state, {'dsnet_mm': json.dumps({'type': type(net).__name__, **config})})


def _find(weights: str | Path) -> Path:
    if str(weights) in names():
        return FOLDER / f'{weights}.safetensors'
    file = Path(weights)
    if file.suffix in ('.pth', '.pt'):
        raise ValueError(f'{file} is a checkpoint of a whole model: extract the resizer with '
                         '"dsnet-mm publish", or in a config use '
                         "init_cfg=dict(type='Pretrained', checkpoint=..., "
                         "prefix='data_preprocessor.resizer.')")
    if not file.is_file():
        raise FileNotFoundError(f'no trained resizer {str(weights)!r}: it is neither a file nor '
                                f'one of {", ".join(names())}')
    return file

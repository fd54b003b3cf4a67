"""Trained resizers, and upsamplings, as files: numbers and the arguments they belong to, no code.

The safetensors files in this package's ``weights/`` have names (:func:`names`); what they were
trained on stands in ``weights/README.md``. ``dsnet-mm publish`` makes such a file of one's
own training.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

Net = TypeVar('Net', bound='Pretrained')
FOLDER = Path(__file__).resolve().parents[1] / 'weights'


class Pretrained(nn.Module):
    """A network that can start from a trained one.

    Attributes:
        weights (str | Path, optional): The trained network that it started from.
    """
    weights: str | Path | None = None

    @classmethod
    def from_pretrained(cls: type[Net], weights: str | Path, **options: Any) -> Net:
        """A trained network, with the arguments it was trained with.

        Args:
            weights (str | Path): A name or file that this module knows.
            **options: Other arguments.

        Raises:
            FileNotFoundError: If there are no such weights.
            ValueError: If they are of another kind of network than the class this is called on.
        """
        config = complete({**options, 'weights': weights})
        kind = config.pop('type')
        for net in (cls, *cls.__subclasses__()):
            if net.__name__ == kind:
                return net(**config)
        raise ValueError(f'the weights {str(weights)!r} are of a {kind}: use '
                         f'{kind}.from_pretrained')


def names() -> list[str]:
    """The resizers that come with this package."""
    return sorted(file.stem for file in FOLDER.glob('*.safetensors'))


def read(weights: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """Reads a trained resizer.

    Args:
        weights (str | Path): One of :func:`names`, or a ``.safetensors`` file of :func:`to_bytes`.

    Returns:
        tuple[dict, dict]: Its config, the ``type`` of network among the arguments, and its state
        dict, on the CPU.

    Raises:
        FileNotFoundError: If there is neither such a name nor such a file.
        ValueError: If the file is broken or of another program.
    """
    from safetensors import SafetensorError, safe_open  # the networks alone need PyTorch only
    file = _find(weights)
    try:
        with safe_open(file, framework='pt') as tensors:
            config = json.loads((tensors.metadata() or {})['dsnet_mm'])
            state = {key: tensors.get_tensor(key) for key in tensors.keys()}
            return {'type': 'DownsizeNet', **config}, state
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f'{file} is no whole file of a trained resizer ({error!r}): make it anew with '
            '"dsnet-mm publish"') from error


def complete(config: dict) -> dict:
    """A resizer's config; with ``weights`` in it also the type and the arguments that these were
    trained with, where no others are given.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: If their file is broken, or they are of another type of this package.
    """
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
                         f'{kind}: leave out the type')
    return {**trained, **config}


def load(net: nn.Module, weights: str | Path) -> None:
    """Gives a network the numbers of a trained one.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: If their file is broken, or they are of another network.
    """
    config, state = read(weights)
    kind = config.pop('type')
    try:
        net.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        arguments = ', '.join(f'{key}={value!r}' for key, value in config.items())
        raise ValueError(f'the weights {str(weights)!r} are of {kind}({arguments}), which '
                         f'is another network than this one: {error}') from error


def to_bytes(net: nn.Module, config: dict) -> bytes:
    """The contents of the file of a trained resizer.

    Args:
        net (nn.Module): A ``ConvexResizer`` or ``GuidedUpsampling``.
        config (dict): The network's arguments.
    """
    from safetensors.torch import save
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    return save(state, {'dsnet_mm': json.dumps({'type': type(net).__name__, **config})})


def _find(weights: str | Path) -> Path:
    if str(weights) in names():
        return FOLDER / f'{weights}.safetensors'
    file = Path(weights)
    if file.suffix in ('.pth', '.pt'):
        raise ValueError(f'{file} is a checkpoint of a whole model: take the resizer out of it '
                         'with "dsnet-mm publish", or in a config use '
                         "init_cfg=dict(type='Pretrained', checkpoint=..., "
                         "prefix='data_preprocessor.resizer.')")
    if not file.is_file():
        raise FileNotFoundError(f'no trained resizer {str(weights)!r}: it is neither a file nor '
                                f'one of {", ".join(names())}')
    return file

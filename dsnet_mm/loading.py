"""What a model takes from a checkpoint."""
from collections import OrderedDict
from collections.abc import Mapping

from dsnet_mm.preprocessors.mixin import DownsizeMixin

from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn


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
    resizer = 'data_preprocessor.resizer.'
    moved = {f'{place}.resizer.{name.removeprefix(resizer)}': value for place in inner
             for name, value in state.items() if name.startswith(resizer)}
    return {} if moved.keys() & state.keys() else moved

"""Hooks that train the resizer alone, and that check that it is used."""
import warnings
from collections.abc import Iterable, Sequence

from dsnet_mm.models.backbones.detail import SecondConvolution
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.registry import HOOKS
from dsnet_mm.resizers import GuidedUpsampling

from mmengine.hooks import Hook
from mmengine.model import BaseModel, BaseModule, BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_REST = 'rest of the model'


@HOOKS.register_module()
class TrainResizerOnlyHook(Hook):
    """Trains the resizer, what reads its detail maps, and guided upsampling, with everything else
    in the model frozen, running statistics of normalisation layers included.

    It adapts a trained model to a smaller input without changing the model::

        load_from = 'model.pth'
        custom_hooks = [dict(type='dsnet_mm.TrainResizerOnlyHook')]

    In distributed training also set ``find_unused_parameters = True``.

    Raises:
        ValueError: If neither a resizer nor guided upsampling has parameters to train.
    """

    def before_train(self, runner: Runner) -> None:
        """Freezes the model."""
        model = unwrapped(runner)
        trained = resizing_parameters(model)
        if not trained:
            raise ValueError(
                'TrainResizerOnlyHook found nothing to train: model.data_preprocessor '
                f'({type(model.data_preprocessor).__name__}) needs a resizer that learns, as in '
                "dict(type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(160, 160)), "
                'without freeze=True')
        model.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Puts the model's layers (normalisation, dropout, attention) into evaluation mode.

        Backbones and heads, which are mmengine's modules, stay in training mode, as some compute
        losses in that mode only.
        """
        model = unwrapped(runner)
        kept = {module for part in resizing_modules(model) for module in part.modules()}
        for module in model.modules():
            if not isinstance(module, BaseModule) and module not in kept:
                module.training = False


def resizing_modules(model: BaseModel) -> list[nn.Module]:
    """A model's resizer, if it has one, its guided upsamplings, and what reads detail maps."""
    resizer = getattr(model.data_preprocessor, 'resizer', None)
    kinds = GuidedUpsampling, SecondConvolution
    return [*filter(None, [resizer]),
            *(module for module in model.modules() if isinstance(module, kinds))]


def resizing_parameters(model: BaseModel) -> list[nn.Parameter]:
    """The parameters of :func:`resizing_modules` that require gradients."""
    return [parameter for module in resizing_modules(model) for parameter in module.parameters()
            if parameter.requires_grad]


@HOOKS.register_module()
class CheckResizerHook(Hook):
    """Refuses resizers that are never called, and warns of slide inference whose window is larger
    than the resized image::

        custom_hooks = [dict(type='dsnet_mm.CheckResizerHook')]

    Raises:
        ValueError: Before training, if a resizer is in a model within the model, whose preprocessor
            is never called, as in the teacher of a distillation; after the first iteration, if one
            was not used, or learns but got no gradient.
    """

    _first = _warned = False

    def __init__(self) -> None:
        self._gradients: dict[str, bool] = {}  # whether any was not zero, by the preprocessor
        self._handles: list[RemovableHandle] = []

    def before_train(self, runner: Runner) -> None:
        """Checks where the resizers are."""
        model = unwrapped(runner)
        wraps = hasattr(model.data_preprocessor, 'data_preprocessor')
        preprocessors = _preprocessors(model)
        for name, module in {**preprocessors, **_hidden_preprocessors(model)}.items():
            if not f'{name}.'.startswith('data_preprocessor.'):
                raise ValueError(
                    f'the resizer in model.{name} would never be used: {type(model).__name__} calls'
                    ' its own preprocessor, not those of models within it. Set model.'
                    f'data_preprocessor{".data_preprocessor" * wraps}.type='
                    f'dsnet_mm.{type(module).__name__}, and its size there. A model within it '
                    'cannot keep a resizer of its own')
            module.used = False
        reads = any(isinstance(module, SecondConvolution) for module in model.modules())
        gives = any(getattr(module.resizer, 'detail_channels', 0)
                    for module in preprocessors.values())
        if reads and not gives:
            raise ValueError(
                "the backbone reads detail maps, but there are none: set the resizer's "
                'detail_channels in model.data_preprocessor.resizer, or use the backbone without '
                'DetailBackbone')
        if gives and not reads:
            raise ValueError(
                'the resizer gives detail maps, but the backbone does not read them: set '
                "model.backbone.type='dsnet_mm.DetailBackbone' and model.backbone.backbone to the "
                "backbone's own type, or leave out detail_channels")
        rest = {*model.parameters()}
        for name, module in preprocessors.items():
            self._watch(name, module.resizer.parameters())
            rest -= {*module.resizer.parameters()}
        self._watch(_REST, rest)
        self._first = True

    def _watch(self, name: str, parameters: Iterable[nn.Parameter]) -> None:
        """Notes in the first iteration whether any of the parameters that learn gets a gradient."""
        def note(gradient: Tensor) -> None:
            self._gradients[name] = self._gradients[name] or bool(gradient.any())

        for parameter in parameters:
            if parameter.requires_grad:
                self._gradients[name] = False
                self._handles.append(parameter.register_hook(note))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Checks after the first iteration that all resizers were used."""
        first, self._first = self._first, False
        model = unwrapped(runner)
        for name, module in _preprocessors(model).items() if first else ():
            if not module.used:
                raise ValueError(
                    f'the resizer in model.{name} was not used in the first iteration, the model '
                    'sees images that are not resized: its data_preprocessor, a '
                    f'{type(model.data_preprocessor).__name__}, must call it')
            if not self._gradients.get(name, True) and self._gradients.get(_REST, True):
                raise ValueError(
                    f'the resizer in model.{name} got no gradient in the first iteration and would '
                    'stay as it is: something between the resized image and the loss stops '
                    'gradients, such as torch.no_grad() or detach() in the backbone. Remove it, or '
                    'set freeze=True in data_preprocessor if the resizer is not to learn')
        while self._handles:
            self._handles.pop().remove()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence[BaseDataElement] | None = None) -> None:
        """Warns once if the window of mmseg's slide inference is larger than the image."""
        model = unwrapped(runner)
        model = model.module if isinstance(model, BaseTTAModel) else model
        test_cfg = getattr(model, 'test_cfg', None) or {}
        if self._warned or test_cfg.get('mode') != 'slide' or not _preprocessors(model):
            return
        crop = tuple(test_cfg['crop_size'])
        for sample in outputs or []:
            height, width = sample.img_shape[:2]
            if crop != (height, width) and crop[0] >= height and crop[1] >= width:
                self._warned = True
                warnings.warn(
                    f'slide inference with crop_size={crop} sees the whole resized image of '
                    f'{height}x{width} pixels at once: give model.test_cfg.crop_size and stride in '
                    "pixels of the resized image, or set mode='whole'", stacklevel=2)
                return

    after_test_iter = after_val_iter


def _preprocessors(model: BaseModel) -> dict[str, DownsizeMixin]:
    return {name: module for name, module in model.named_modules()
            if isinstance(module, DownsizeMixin)}


def _hidden_preprocessors(model: BaseModel) -> dict[str, DownsizeMixin]:
    """Preprocessors in models that are plain attributes of a module, alone or in a list, which
    PyTorch does not know of: mmdet keeps the teacher of a distillation so."""
    known, found = set(model.modules()), {}
    for prefix, module in model.named_modules():
        for key, value in vars(module).items():
            if key in ('_modules', '_parameters', '_buffers'):
                continue
            for hidden in value if isinstance(value, (list, tuple)) else (value, ):
                if isinstance(hidden, nn.Module) and hidden not in known:
                    found.update({'.'.join(filter(None, (prefix, key, name))): part
                                  for name, part in hidden.named_modules()
                                  if isinstance(part, DownsizeMixin) and part not in known})
    return found


def unwrapped(runner: Runner) -> BaseModel:
    """A runner's model without its wrapper for distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model

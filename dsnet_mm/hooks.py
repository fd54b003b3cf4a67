"""Training a resizer in front of a model that stays as it is."""
from dsnet_mm.registry import HOOKS

from mmengine.hooks import Hook
from mmengine.model import BaseModel, BaseModule, is_model_wrapper
from mmengine.runner import Runner


@HOOKS.register_module()
class TrainResizerOnlyHook(Hook):
    """Trains the resizer and leaves the model behind it as it is, its statistics included.

    It adapts a trained model to a smaller input without touching it::

        load_from = 'model.pth'
        custom_hooks = [dict(type='dsnet_mm.TrainResizerOnlyHook')]

    In distributed training also set ``find_unused_parameters = True``.
    """

    def before_train(self, runner: Runner) -> None:
        """Freezes the model.

        Raises:
            ValueError: If the model has no resizer to train.
        """
        model = unwrapped(runner)
        resizer = getattr(model.data_preprocessor, 'resizer', None)
        trained = [p for p in resizer.parameters() if p.requires_grad] if resizer else []
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
        """Keeps layers (normalisation, dropout, attention) as at test. Backbones and heads, which
        are mmengine's modules, stay in training mode: some compute losses in no other."""
        model = unwrapped(runner)
        kept = set(model.data_preprocessor.modules())
        for module in model.modules():
            if not isinstance(module, BaseModule) and module not in kept:
                module.training = False


def unwrapped(runner: Runner) -> BaseModel:
    """A runner's model, without what distributed training wraps it in."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model

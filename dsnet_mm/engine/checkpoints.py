"""Checkpoints that survive a kill and a full disk."""
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsnet_mm.compat import weights_only
from dsnet_mm.engine.hooks import unwrapped
from dsnet_mm.engine.loading import matching_weights, moved_resizer
from dsnet_mm.files import atomic_write
from dsnet_mm.registry import HOOKS

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner


@register_backend('dsnet_mm')
class WholeFileBackend(LocalBackend):
    """mmengine's backend for the local disk, which writes a file completely or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes a file; if that fails (OSError), an existing file stays as it was."""
        with atomic_write(filepath) as unfinished:
            super().put(obj, str(unfinished))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, which always leaves a complete checkpoint to resume from::

        default_hooks = dict(checkpoint=dict(type='dsnet_mm.SafeCheckpointHook', interval=1))

    On the local disk a file is written completely or not at all. At least two checkpoints are
    kept, as mmengine deletes the oldest before it saves the next. Before saving, the hook checks
    that the checkpoint can be loaded again; after loading, that it fits the model. The arguments
    are those of ``CheckpointHook``.

    Raises:
        TypeError: Before training or saving, if the checkpoint has an object that could not be
            loaded again.
        ValueError: After loading, if no weights fit the model; when resuming, also if the
            checkpoint is not of a training of this model.
    """

    backend_args: dict | None
    max_keep_ckpts: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_local = '://' not in str(self.out_dir)
        if is_local and self.file_client_args is None and self.backend_args is None:
            self.backend_args = dict(backend='dsnet_mm')
        if self.max_keep_ckpts == 1:
            self.max_keep_ckpts = 2

    def before_train(self, runner: Runner) -> None:
        """Checks those parts of a checkpoint that exist before training."""
        super().before_train(runner)
        schedulers = runner.param_schedulers or []
        named = schedulers.items() if isinstance(schedulers, dict) else [('', schedulers)]
        self.before_save_checkpoint(runner, dict(
            meta=dict(dataset_meta=getattr(runner.train_dataloader.dataset, 'metainfo', None)),
            message_hub=runner.message_hub.state_dict(),
            param_schedulers={name: [scheduler.state_dict() for scheduler in group]
                              for name, group in named}))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Removes the schedulers' functions, which the config restores, and checks the rest."""
        schedulers = checkpoint.get('param_schedulers') or []
        groups = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
        for state in (state for group in groups for state in group):
            for name in [name for name, value in state.items()
                         if callable(value) and not weights_only.is_data(value)]:
                del state[name]
        weights_only.check_data(checkpoint, 'checkpoint')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Checks that a checkpoint fits the model, and renames the resizer's weights if the
        model's preprocessor is inside another one."""
        file = runner._load_from or runner.work_dir
        if not isinstance(checkpoint, dict):
            raise ValueError(f'{file} holds a {type(checkpoint).__name__} instead of a checkpoint')
        state = checkpoint.get('state_dict', checkpoint)
        model = unwrapped(runner)
        found = matching_weights(model, state)
        used = {id(value) for value in found.values()} & {id(value) for value in state.values()}
        unused = {name: value for name, value in state.items() if id(value) not in used}
        # mmengine drops this prefix, which distributed training and test-time augmentation add.
        own = {name.removeprefix('module.'): value for name, value in model.state_dict().items()}
        other = [name for name, value in own.items()
                 if getattr(found.get(name), 'shape', None) != value.shape]
        if not any(id(found[name]) in used for name in own.keys() - other):
            raise ValueError(f'{file} is of another model, none of its weights fits this one '
                             f'({_some(state)}; the model has {_some(own)})')
        if not runner._resume:
            moved = moved_resizer(model, state)
            if moved:
                given = {id(value) for value in moved.values()}
                left = {name: value for name, value in unused.items() if id(value) not in given}
                state.clear()
                state.update({**left, **found, **moved})
            return
        missing = {'meta', 'state_dict', 'optimizer'} - checkpoint.keys()
        if missing:
            raise ValueError(f'cannot resume from {file}, it has no {_some(missing)}: to start a '
                             'training from its weights, set load_from instead')
        if other or unused:
            raise ValueError(f'cannot resume from {file}, its model is another one '
                             f'({_some(other or unused)} differ): use the config it was trained '
                             'with, or set load_from')


def latest_checkpoint(folder: str | Path) -> str | None:
    """Path of the last checkpoint that mmengine saved in a folder; None if there is none."""
    folder = Path(folder)
    record = folder / 'last_checkpoint'
    if not record.exists():
        return None
    file = folder / Path(record.read_text().strip()).name  # the folder may have been moved
    if file.is_file():
        return str(file)
    # The training was killed while it wrote the record.
    files = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
    return str(max(files, key=lambda file: file.stat().st_mtime_ns)) if files else None


def _some(names: Iterable) -> str:
    ordered = sorted(map(str, names))
    return ', '.join(ordered[:3]) + ', ...' * (len(ordered) > 3)

"""What this package's commands add to every training: hooks, and remedies for a lack of memory."""
from collections.abc import Iterator
from contextlib import contextmanager

from dsnet_mm.config import resolve
from dsnet_mm.engine.hooks import CheckResizerHook
from dsnet_mm.engine.seeding import StepSeedHook

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

OUT_OF_MEMORY = """Out of memory. Remedies, cheapest first, all for --cfg-options:
  model.data_preprocessor.resizer.with_cp=True  gradient checkpointing in a DownsizeNet
  model.backbone.with_cp=True                   the same for the backbone, if it has the option
  train_dataloader.batch_size=...               smaller; optim_wrapper.accumulative_counts=...
                                                keeps the number of images per optimizer step"""


def safeguard(cfg: Config) -> None:
    """Adds the hooks that check checkpoints and the resizer, and make a training resumable."""
    hooks = {'checkpoint': dict(type='CheckpointHook', interval=1),
             **(cfg.get('default_hooks') or {})}
    if resolve((hooks['checkpoint'] or {}).get('type'), HOOKS) is CheckpointHook:
        hooks['checkpoint'] = dict(hooks['checkpoint'], type='dsnet_mm.SafeCheckpointHook')
    cfg.default_hooks = hooks
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or [])]
    given = [resolve(hook['type'], HOOKS) for hook in cfg.custom_hooks]
    cfg.custom_hooks += [dict(type=f'dsnet_mm.{hook.__name__}')
                         for hook in (StepSeedHook, CheckResizerHook) if hook not in given]


@contextmanager
def out_of_memory_explained() -> Iterator[None]:
    """Turns PyTorch's errors when memory runs out into a MemoryError with remedies."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError) or 'DefaultCPUAllocator' in str(error):
            raise MemoryError(f'{error}\n\n{OUT_OF_MEMORY}') from error
        raise

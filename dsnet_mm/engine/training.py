"""Settings that every training of this package's commands adds to its config."""
from collections.abc import Iterator
from contextlib import contextmanager

from dsnet_mm.config import resolve
from dsnet_mm.engine.hooks import CheckResizerHook
from dsnet_mm.engine.seeding import StepSeedHook

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

OUT_OF_MEMORY = """Out of memory. What helps, first what costs least:
  model.data_preprocessor.resizer.with_cp=True  keeps less of the resizer, and computes it again
  model.backbone.with_cp=True                   the same of the backbone, where it has it
  train_dataloader.batch_size=...               smaller; with optim_wrapper.accumulative_counts=...
                                                the optimizer sees as many images as before
(all for --cfg-options; without gradients, at test, the resizer works tile by tile already)"""


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
    """Explains PyTorch's errors when memory runs out.

    Raises:
        MemoryError: With remedies.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError) or 'DefaultCPUAllocator' in str(error):
            raise MemoryError(f'{error}\n\n{OUT_OF_MEMORY}') from error
        raise

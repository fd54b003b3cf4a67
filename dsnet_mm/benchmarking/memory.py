"""How much memory a call takes beside what is there before it."""
import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def peak_mb(function: Callable[[], torch.Tensor], device: torch.device) -> float | None:
    """Megabytes (10**6 bytes) at the peak of a call, beside those before it and the result.

    On a GPU those of PyTorch's allocator. On the CPU those of the whole process, as Linux counts
    them; None on other systems.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        out = function()
        peak = torch.cuda.max_memory_allocated()
    elif sys.platform == 'linux':
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used first
        Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
        before = _status('VmRSS')
        out = function()
        peak = _status('VmHWM')
    else:
        return None
    return round((peak - before - out.numel() * out.element_size()) / 1e6, 1)


def _status(name: str) -> int:
    return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])

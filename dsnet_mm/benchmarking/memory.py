"""Peak memory of a call."""
import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def peak_mb(function: Callable[[], torch.Tensor], device: torch.device) -> float | None:
    """Peak memory of a call in MB (10**6 bytes), less its result and the memory in use before.

    On a GPU, PyTorch's allocator counts; on the CPU, Linux counts the whole process.

    Returns:
        float | None: Megabytes, or None on a CPU under another system.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        out = function()
        peak = torch.cuda.max_memory_allocated()
    elif sys.platform == 'linux':
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # or memory freed before would be used first
        Path('/proc/self/clear_refs').write_text('5')  # resets the peak
        before = _status('VmRSS')
        out = function()
        peak = _status('VmHWM')
    else:
        return None
    return round((peak - before - out.numel() * out.element_size()) / 1e6, 1)


def _status(name: str) -> int:
    [kilobytes] = re.findall(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text())
    return 1024 * int(kilobytes)

"""Peak memory and multiply-adds of a call."""
import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def peak_mb(function: Callable[[], Tensor], device: torch.device) -> float | None:
    """Peak memory of a call in MB (10**6 bytes), without its result and the memory in use before.

    On a GPU, PyTorch's allocator counts; on the CPU, Linux counts the whole process, and another
    system nothing: None.
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


def billion_multiply_adds(function: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Billions of multiply-adds of convolutions and matrix products in a call."""
    # PyTorch counts nothing in inference mode, nor for tensors made in it.
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(*(tensor.clone() for tensor in inputs))
    return counter.get_total_flops() / 2e9

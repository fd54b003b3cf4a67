"""Reuse of freed memory by glibc's malloc."""
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Lets this process reuse freed blocks of up to 32 MB instead of returning them to the system.

    By default glibc's malloc maps every block that is larger than any freed so far anew, and the
    system then faults on each of its pages. Freeing one block of nearly 32 MB, which is never
    touched, raises that limit once for the whole process. Resizers call this before they compute
    without gradients; docs/cost.md says what it saves.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)

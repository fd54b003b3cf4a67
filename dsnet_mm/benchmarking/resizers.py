"""Resizers alone: latency, memory and multiply-adds."""
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from dsnet_mm.benchmarking.memory import billion_multiply_adds, peak_mb
from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.registry import build_resizer
from dsnet_mm.variants import VARIANTS

import torch

RESIZERS: dict[str, dict] = {
    **{name: VARIANTS[name] for name in ('bilinear', 'antialias', 'area', 'bicubic')},
    **{f'downsizenet-{n}': dict(type='DownsizeNet', num_convs=n) for n in (2, 3, 4)},
    **{name: VARIANTS[name] for name in ('downsizenet-v2', 'downsizenet-v2+detail', 'muller',
                                         'talebi-milanfar')},
}
# The reference implementation: the paper's layers, one by one on the whole image.
PLAIN = 'downsizenet-2, plain'
# Timed in turns with the largest images, so that its own is not in the cache any more.
BETWEEN = 'downsizenet-2, between the largest'

EVERY = (*RESIZERS, PLAIN)
# Input size, output size and names. Cases in one list are timed in turns, as the speed of a
# machine changes within minutes.
QUICK = [
    [((300, 300), (160, 160), EVERY)],
    [((768, 768), (230, 230), EVERY)],
    [((1080, 1920), (540, 960), EVERY)],
]
CASES = [
    *QUICK,
    [((2160, 3840), (720, 1280), EVERY)],
    # The ratio of the first case.
    [((4320, 7680), (2304, 4096), ('bilinear', 'antialias', 'downsizenet-2')),
     ((300, 300), (160, 160), (BETWEEN, ))],
]


def measurements(quick: bool, rounds: int) -> int:
    """The number of calls of ``done`` by :func:`measure`."""
    return (rounds + 1) * sum(
        len(names) for cases in (QUICK if quick else CASES) for _, _, names in cases)


@torch.inference_mode()
def measure(quick: bool, rounds: int, threads: int, device: torch.device,
            done: Callable[[], None]) -> Iterator[list[dict]]:
    """Yields lists with a row for each resizer and size; ``quick`` leaves out the largest."""
    torch.set_num_threads(threads)
    modules = {name: build_resizer(cfg).to(device).eval() for name, cfg in RESIZERS.items()}
    warm_up = torch.rand(1, 3, 64, 64, device=device)
    for cases in QUICK if quick else CASES:
        calls, memory = {}, {}
        for size_in, size_out, names in cases:
            images = 255 * torch.rand(1, 3, *size_in, device=device)
            for name in names:
                key = name, size_in, size_out
                calls[key] = partial(_function(modules, name), images, size_out)
                _function(modules, name)(warm_up, (32, 32))
                memory[key] = peak_mb(calls[key], device)
        times = interleaved(calls, rounds, threads, done)
        yield [{'resizer': key[0], 'in': list(key[1]), 'out': list(key[2]),
                **quartiles(times[key]), 'peak_mb': memory[key],
                'gmacs': round(_multiply_adds(modules, *key), 3)}
               for key in calls]


def _function(modules: dict[str, Any], name: str) -> Callable[..., torch.Tensor]:
    if name == PLAIN:
        return modules['downsizenet-2'].plain
    return modules['downsizenet-2' if name == BETWEEN else name]


def _multiply_adds(modules: dict[str, Any], name: str, size_in: tuple[int, int],
                   size_out: tuple[int, int]) -> float:
    function = _function(modules, name)
    images = torch.rand(1, 3, *size_in, device=next(modules['muller'].parameters()).device)
    return billion_multiply_adds(lambda images: function(images, size_out), images)

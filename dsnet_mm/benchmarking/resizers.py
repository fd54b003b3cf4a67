"""Resizers alone: time, memory and multiply-adds."""
from collections.abc import Callable, Iterator
from functools import partial

from benchmarking.memory import peak_mb
from benchmarking.timing import interleaved, quartiles
from dsnet_mm.registry import build_resizer

import torch
from arms import ARMS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

RESIZERS = {
    **{name: ARMS[name] for name in ('bilinear', 'antialias', 'area', 'bicubic')},
    **{f'downsizenet-{n}': dict(type='DownsizeNet', num_convs=n) for n in (2, 3, 4)},
    **{name: ARMS[name] for name in ('downsizenet-v2', 'muller', 'talebi-milanfar')},
}
# The paper's description, layer by layer on the whole image.
PLAIN = 'downsizenet-2, plain'
# Repeated alone a small image stays in the cache, which no larger one does.
BETWEEN = 'downsizenet-2, between the largest'

# Sizes of input and output, and the resizers to compare there.
EVERY = (*RESIZERS, PLAIN)
# What is compared is measured in turns: the machine may be another after some minutes.
QUICK = [
    [((300, 300), (160, 160), EVERY)],
    [((768, 768), (230, 230), EVERY)],
    [((1080, 1920), (540, 960), EVERY)],
]
CASES = [
    *QUICK,
    [((2160, 3840), (720, 1280), EVERY)],
    # The first one's ratio.
    [((4320, 7680), (2304, 4096), ('bilinear', 'antialias', 'downsizenet-2')),
     ((300, 300), (160, 160), (BETWEEN, ))],
]


def measurements(quick: bool, rounds: int) -> int:
    """How often :func:`measure` calls ``done``."""
    return (rounds + 1) * sum(
        len(names) for cases in (QUICK if quick else CASES) for _, _, names in cases)


@torch.inference_mode()
def measure(quick: bool, rounds: int, threads: int, device: torch.device,
            done: Callable[[], None]) -> Iterator[list[dict]]:
    """A row for each resizer and size."""
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


def _function(modules: dict[str, nn.Module], name: str) -> Callable[..., torch.Tensor]:
    if name == PLAIN:
        return modules['downsizenet-2'].plain
    return modules['downsizenet-2' if name == BETWEEN else name]


def _multiply_adds(modules: dict[str, nn.Module], name: str, size_in: tuple[int, int],
                   size_out: tuple[int, int]) -> float:
    """Billions that convolutions and matrix products take."""
    # PyTorch counts nothing in inference mode.
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        images = torch.rand(1, 3, *size_in, device=next(modules['muller'].parameters()).device)
        _function(modules, name)(images, size_out)
    return counter.get_total_flops() / 2e9

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
    **{name: ARMS[name] for name in ('downsizenet-auto', 'muller', 'talebi-milanfar')},
}
# The paper's description, layer by layer on the whole image.
PLAIN = 'downsizenet-2, plain'

# Sizes of input and output, and the resizers to compare there.
EVERY = (*RESIZERS, PLAIN)
CASES = [
    ((300, 300), (160, 160), EVERY),
    ((768, 768), (230, 230), EVERY),
    ((1080, 1920), (540, 960), EVERY),
    ((2160, 3840), (720, 1280), EVERY),
    # The first one's ratio.
    ((4320, 7680), (2304, 4096), ('bilinear', 'antialias', 'downsizenet-2')),
]
QUICK = CASES[:3]


def measurements(quick: bool, rounds: int) -> int:
    """How often :func:`measure` calls ``done``."""
    return (rounds + 1) * sum(len(names) for _, _, names in (QUICK if quick else CASES))


@torch.inference_mode()
def measure(quick: bool, rounds: int, threads: int, device: torch.device,
            done: Callable[[], None]) -> Iterator[list[dict]]:
    """A row for each resizer and size."""
    torch.set_num_threads(threads)
    modules = {name: build_resizer(cfg).to(device).eval() for name, cfg in RESIZERS.items()}
    warm_up = torch.rand(1, 3, 64, 64, device=device)
    for size_in, size_out, names in QUICK if quick else CASES:
        images = 255 * torch.rand(1, 3, *size_in, device=device)
        calls = {name: partial(_function(modules, name), images, size_out) for name in names}
        memory = {}
        for name in names:
            _function(modules, name)(warm_up, (32, 32))
            memory[name] = peak_mb(calls[name], device)
        times = interleaved(calls, rounds, threads, done)
        yield [{'resizer': name, 'in': list(size_in), 'out': list(size_out),
                **quartiles(times[name]), 'peak_mb': memory[name],
                'gmacs': round(_multiply_adds(modules, name, size_in, size_out), 3)}
               for name in names]


def _function(modules: dict[str, nn.Module], name: str) -> Callable[..., torch.Tensor]:
    return modules['downsizenet-2'].plain if name == PLAIN else modules[name]


def _multiply_adds(modules: dict[str, nn.Module], name: str, size_in: tuple[int, int],
                   size_out: tuple[int, int]) -> float:
    """Billions that convolutions and matrix products take."""
    # PyTorch counts nothing in inference mode.
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        images = torch.rand(1, 3, *size_in, device=next(modules['muller'].parameters()).device)
        _function(modules, name)(images, size_out)
    return counter.get_total_flops() / 2e9

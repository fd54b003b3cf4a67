"""Guided upsampling: logits of 19 classes at low resolution to a label map of the image's size."""
from collections.abc import Callable, Iterator
from functools import partial

from dsnet_mm.benchmarking.memory import billion_multiply_adds, peak_mb
from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.resizers import BilinearUpsampling, GuidedUpsampling

import torch
from torch import Tensor, nn

CLASSES = 19
SMALL, LARGE = (324, 576), (1080, 1920)


def networks() -> dict[str, nn.Module]:
    """The modules to compare, by name."""
    return {'bilinear': BilinearUpsampling(), 'guided': GuidedUpsampling(),
            'guided, density 2': GuidedUpsampling(density=2)}


def measurements(rounds: int) -> int:
    """The number of calls of ``done`` by :func:`measure`."""
    return (rounds + 1) * len(networks())


@torch.inference_mode()
def measure(rounds: int, threads: int, device: torch.device,
            done: Callable[[], None]) -> Iterator[list[dict]]:
    """Yields a list with a row for each module, timed together with the argmax over classes."""
    torch.set_num_threads(threads)
    logits = torch.randn(1, CLASSES, *SMALL, device=device)
    images = torch.randint(256, (1, 3, *LARGE), dtype=torch.uint8, device=device)
    nets = {name: net.to(device) for name, net in networks().items()}
    calls = {name: partial(_labels, net, logits, images) for name, net in nets.items()}
    memory = {}
    for name, net in nets.items():
        _labels(net, logits[..., :30, :50], images[..., :100, :200])
        memory[name] = peak_mb(calls[name], device)
    times = interleaved(calls, rounds, threads, done)
    yield [{'resizer': name, 'in': list(SMALL), 'out': list(LARGE), **quartiles(times[name]),
            'peak_mb': memory[name], 'gmacs': round(billion_multiply_adds(net, logits, images), 3)}
           for name, net in nets.items()]


def _labels(net: nn.Module, logits: Tensor, images: Tensor) -> Tensor:
    return net(logits, images).argmax(dim=1)

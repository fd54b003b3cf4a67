"""The way back up: small logits of 19 classes to a label map of full size."""
from collections.abc import Callable, Iterator
from functools import partial

from dsnet_mm.benchmarking.memory import peak_mb
from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.resizers import BilinearUpsampling, GuidedUpsampling

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
    """Yields a list with a row for each module, timed with the argmax over classes behind it."""
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
            'peak_mb': memory[name], 'gmacs': round(_multiply_adds(net, logits, images), 3)}
           for name, net in nets.items()]


def _labels(net: nn.Module, logits: Tensor, images: Tensor) -> Tensor:
    return net(logits, images).argmax(dim=1)


def _multiply_adds(net: nn.Module, logits: Tensor, images: Tensor) -> float:
    """Billions that convolutions and matrix products take."""
    # PyTorch counts nothing in inference mode.
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(logits.clone(), images.clone())
    return counter.get_total_flops() / 2e9

"""How much memory a resizer's maps take."""
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


def largest_map(net: nn.Module, images: Tensor, size: tuple[int, int]) -> int:
    """Bytes of the largest floating-point storage without gradients, but for the output's."""
    sizes = []

    class Recorder(TorchDispatchMode):

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor) and out.is_floating_point():
                sizes.append(out.untyped_storage().nbytes())
            return out

    with torch.no_grad(), Recorder():
        net(images, size)
    n, channels = images.shape[:2]
    output = 4 * n * channels * size[0] * size[1]
    return max(found for found in sizes if found != output)

"""Whether PyTorch records gradients or a graph, in all its versions."""
import torch
from torch import Tensor, nn

# PyTorch 2.1 has it elsewhere.
is_compiling = (torch.compiler.is_compiling if hasattr(torch.compiler, 'is_compiling')
                else torch._utils.is_compiling)

# PyTorch before 2.7 lacks it, and cannot export graphs whose sizes are dynamic.
is_exporting = getattr(torch.compiler, 'is_exporting', lambda: False)


def needs_gradients(net: nn.Module, *inputs: Tensor) -> bool:
    """Whether autograd records what a network computes from the inputs."""
    return torch.is_grad_enabled() and any(
        t.requires_grad for t in (*inputs, *net.parameters()))

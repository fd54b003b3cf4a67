"""Whether a graph is being compiled or exported, in all versions of PyTorch."""
import torch

# PyTorch 2.1 has it elsewhere.
is_compiling = (torch.compiler.is_compiling if hasattr(torch.compiler, 'is_compiling')
                else torch._utils.is_compiling)

# PyTorch before 2.7 lacks it, and cannot export graphs whose sizes are dynamic.
is_exporting = getattr(torch.compiler, 'is_exporting', lambda: False)

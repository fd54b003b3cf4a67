"""VGG, the backbone of RefineDet, Light-Head R-CNN and FCN in the paper."""
from collections.abc import Sequence

from dsnet_mm.registry import MODELS

from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

CONFIGURATIONS = {11: 'A', 13: 'B', 16: 'D', 19: 'E'}


@MODELS.register_module()
class VGG(BaseModule):
    """The convolutions of torchvision's VGG, whose checkpoints load (``torchvision://vgg16``).

    Stage ``i`` has stride ``2 ** i`` and is returned before its pooling.

    Args:
        depth (int): 11, 13, 16 or 19.
        base_channels (int): Channels of the first stage; the last has eight times as many.
        with_bn (bool): Add batch normalisation, to train from random weights.
        out_indices (Sequence[int]): The stages to return, 0 to 4.
        init_cfg (dict, optional): By default Kaiming's initialisation.

    Raises:
        ValueError: If there is no VGG of this depth, or no such stage.
    """

    def __init__(self, depth: int = 16, base_channels: int = 64, with_bn: bool = False,
                 out_indices: Sequence[int] = (4, ), init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg or [
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', val=1, layer='BatchNorm2d')])
        if depth not in CONFIGURATIONS:
            raise ValueError(f'depth={depth!r}: use one of {tuple(CONFIGURATIONS)}')
        if not out_indices or not set(out_indices) <= set(range(5)):
            raise ValueError(f'out_indices={out_indices!r}: VGG has the stages 0 to 4')
        widths = [width if width == 'M' else width * base_channels // 64
                  for width in cfgs[CONFIGURATIONS[depth]]]
        self.features = make_layers(widths, with_bn)
        self.pools = [i for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        self.out_layers = [self.pools[i] - 1 for i in sorted(out_indices)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the stages' maps (N, C_i, H_i, W_i)."""
        outs = []
        for i, layer in enumerate(self.features[:self.out_layers[-1] + 1]):
            x = layer(x)
            if i in self.out_layers:
                outs.append(x)
        return tuple(outs)

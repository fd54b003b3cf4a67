"""torch.export: one graph for all sizes."""
from dsnet_mm.resizers import ConvexResizer, DownsizeNet, DownsizeNetV2, OutputSize

import pytest
import torch
from torch import Tensor, nn

pytestmark = pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'),
                                reason='PyTorch before 2.7')
# Ratios from one third to 24.
SIZES = [(1, 60, 80), (3, 50, 33), (2, 20, 20), (1, 90, 301), (2, 31, 86), (1, 62, 1032),
         (1, 200, 15), (2, 300, 300), (1, 155, 43), (1, 124, 172)]


class Resizing(nn.Module):
    def __init__(self, net: ConvexResizer, output_size: OutputSize) -> None:
        super().__init__()
        self.net, self.output_size = net, output_size

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images, self.output_size(*images.shape[-2:]))


@pytest.mark.parametrize('output_size', [OutputSize((31, 43)), OutputSize(scale=0.3)], ids=str)
@pytest.mark.parametrize('kind', [DownsizeNet, DownsizeNetV2])
def test_one_graph_for_all_sizes(kind, output_size):
    net = kind().requires_grad_(False)
    nn.init.normal_(net.logits.weight)
    anything = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(
        Resizing(net, output_size), (torch.rand(2, 3, 64, 80), ), dynamic_shapes=(anything, ),
        strict=True).module()
    for number, *size in SIZES:
        images = 255 * torch.rand(number, 3, *size)
        torch.testing.assert_close(exported(images), net(images, output_size(*size)),
                                   rtol=0, atol=255e-5)

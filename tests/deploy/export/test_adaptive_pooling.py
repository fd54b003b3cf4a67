"""Adaptive pooling in a file of open size is PyTorch's."""
from dsnet_mm.cli.export import CAN_EXPORT
from dsnet_mm.deploy.export.adaptive_pooling import TRANSLATIONS

import onnxruntime
import pytest
import torch
from torch import nn

if not CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)


@pytest.mark.parametrize('cells', [1, (3, 5)])
def test_every_size(cells, tmp_path):
    net = nn.AdaptiveAvgPool2d(cells)
    open_axes = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        net, (torch.rand(2, 4, 11, 14), ), tmp_path / 'net.onnx', verbose=False, opset_version=20,
        dynamic_shapes=({0: open_axes, 2: open_axes, 3: open_axes}, ),
        custom_translation_table=TRANSLATIONS)
    session = onnxruntime.InferenceSession(tmp_path / 'net.onnx')
    [source] = session.get_inputs()
    for size in [(11, 14), (12, 30), (3, 5), (2, 4), (31, 7)]:
        maps = torch.randn(1, 4, *size)
        [found] = session.run(None, {source.name: maps.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), net(maps))

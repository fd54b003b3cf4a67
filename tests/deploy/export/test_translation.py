"""Translation to ONNX: adaptive pooling of any size, and constants that keep a denominator from
being zero."""
from dsnet_mm.deploy.export.translation import CAN_EXPORT, TRANSLATIONS, keep_small_constants

import onnxruntime
import pytest
import torch
from mmdet.models.necks.ssd_neck import L2Norm
from torch import Tensor, nn

if not CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)


@pytest.mark.parametrize('cells', [1, (3, 5)])
def test_adaptive_pooling_of_any_size(cells, tmp_path):
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


class Logarithm(nn.Module):
    """Signed values, and a constant that is large enough to be kept by itself."""

    def forward(self, values: Tensor) -> Tensor:
        return (values.abs() + 1e-12).log() + 1 / (values + 1e-16) + 1 / (values + 1e-3)


@pytest.mark.parametrize('module, kept', [(L2Norm(4), 1), (Logarithm(), 2)])
def test_small_constants_are_kept(module, kept, tmp_path):
    values = 3 * torch.randn(1, 4, 5, 6)
    values[..., 2:4] = 0
    module.eval().requires_grad_(False)
    program = torch.export.export(module, (values, ), strict=True)
    keep_small_constants(program)
    assert sum('where' in str(node.target) for node in program.graph.nodes) == kept
    expected = module(values)
    torch.testing.assert_close(program.module()(values), expected)
    torch.onnx.export(program, verbose=False).save(tmp_path / 'model.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'model.onnx')
    [found] = session.run(None, {session.get_inputs()[0].name: values.numpy()})
    assert expected.isfinite().all()
    torch.testing.assert_close(torch.from_numpy(found), expected)

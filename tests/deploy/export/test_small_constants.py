"""Constants that keep a denominator from being zero survive in the ONNX file."""
import pytest
import torch
from mmdet.models.necks.ssd_neck import L2Norm
from torch import Tensor, nn

onnxruntime = pytest.importorskip('onnxruntime')
cli = pytest.importorskip('dsnet_mm.cli.export')
if not cli.CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)
small_constants = pytest.importorskip('dsnet_mm.deploy.export.small_constants')


class Logarithm(nn.Module):
    """Signed values, and a constant that is large enough to be kept by itself."""

    def forward(self, values: Tensor) -> Tensor:
        return (values.abs() + 1e-12).log() + 1 / (values + 1e-16) + 1 / (values + 1e-3)


@pytest.mark.parametrize('module, kept', [(L2Norm(4), 1), (Logarithm(), 2)])
def test_kept(module, kept, tmp_path):
    values = 3 * torch.randn(1, 4, 5, 6)
    values[..., 2:4] = 0
    module.eval().requires_grad_(False)
    program = torch.export.export(module, (values, ), strict=True)
    small_constants.keep(program)
    assert sum('where' in str(node.target) for node in program.graph.nodes) == kept
    expected = module(values)
    torch.testing.assert_close(program.module()(values), expected)
    torch.onnx.export(program, verbose=False).save(tmp_path / 'model.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'model.onnx')
    [found] = session.run(None, {session.get_inputs()[0].name: values.numpy()})
    assert expected.isfinite().all()
    torch.testing.assert_close(torch.from_numpy(found), expected)

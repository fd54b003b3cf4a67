"""torch.compile, with the compiler that a user gets."""
import shutil

from dsnet_mm.models.data_preprocessors.det import DownsizeDetDataPreprocessor
from dsnet_mm.resizers import ConvexResizer, DownsizeNet, DownsizeNetV2

import pytest
import torch
import torch._dynamo.testing
from mmdet.structures import DetDataSample

pytestmark = pytest.mark.skipif(shutil.which('c++') is None or torch.__version__ < '2.2',
                                reason='no compiler of C++, or PyTorch 2.1')


@pytest.fixture(autouse=True)
def _forget() -> None:
    torch._dynamo.reset()  # what other tests compiled counts towards its limit


def learned(kind: type[ConvexResizer]) -> ConvexResizer:
    net = kind()
    # That of V2 must go far from its prior.
    torch.nn.init.normal_(net.logits.weight, std=5 if kind is DownsizeNetV2 else 0.3)
    return net


@pytest.mark.parametrize('kind', [
    DownsizeNet, pytest.param(DownsizeNetV2, marks=pytest.mark.slow)])
def test_resizer_in_one_graph_for_all_sizes(kind):
    net = learned(kind)
    compiled = torch.compile(net, fullgraph=True, dynamic=True)
    for size_in, size_out in [((60, 80), (31, 43)), ((64, 80), (32, 40)), ((75, 66), (31, 31))]:
        images = 255 * torch.rand(2, 3, *size_in)
        weight = torch.rand(2, 3, *size_out)
        expected, out = net(images, size_out), compiled(images, size_out)
        torch.testing.assert_close(out, expected, rtol=0, atol=255e-4)
        torch.testing.assert_close(*(torch.autograd.grad((o * weight).sum(), net.logits.weight)
                                     for o in (out, expected)), rtol=1e-3, atol=1e-2)
        with torch.no_grad():
            torch.testing.assert_close(compiled(images, size_out), expected.detach(), rtol=0,
                                       atol=255e-4)


def test_images_of_any_size_share_a_graph():
    """Whatever their ratio, and with it the number of neighbours, is."""
    net, counter = learned(DownsizeNetV2), torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=counter)
    for size in [(60, 80), (62, 86), (31, 43), (20, 30), (300, 75)]:
        images = torch.rand(2, 3, *size)
        torch.testing.assert_close(compiled(images, (31, 43)), net(images, (31, 43)), rtol=0,
                                   atol=1e-4)
    assert counter.frame_count == 1


@pytest.mark.parametrize('kind', [DownsizeNet, DownsizeNetV2])
def test_whole_preprocessor(kind):
    preprocessor = DownsizeDetDataPreprocessor(
        mean=[120.] * 3, std=[60.] * 3, bgr_to_rgb=True, pad_size_divisor=32,
        target_size=(31, 43))
    preprocessor.resizer = learned(kind)
    compiled = torch.compile(preprocessor)
    for size in [(60, 80), (64, 90)]:
        meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        batch = dict(inputs=[torch.randint(256, (3, *size), dtype=torch.uint8) for _ in range(2)],
                     data_samples=[DetDataSample(metainfo=meta) for _ in range(2)])
        with torch.no_grad():
            expected, out = preprocessor(batch), compiled(batch)
        torch.testing.assert_close(out['inputs'], expected['inputs'], rtol=0, atol=1e-3)
        assert out['data_samples'][0].metainfo == expected['data_samples'][0].metainfo

"""Pooling as a graph is the pooling of the extractors."""
from dsnet_mm.deploy.decoders.pooling import pool
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.zoo.light_head import LightHeadRoIExtractor

import pytest
import torch
from mmdet.models.roi_heads import SingleRoIExtractor
from torch import Tensor

PIXELS = 96, 128  # height and width of the resized images
ALIGN = dict(type='RoIAlign', output_size=(3, 2), sampling_ratio=0)


def draw() -> tuple[Tensor, Tensor]:
    """Boxes (2, 41, 4) of two images, some larger than these, one empty, and the RoIs (82, 5)."""
    corners = 1.2 * torch.rand(2, 40, 2, 2).sort(dim=2)[0] * torch.tensor(PIXELS[::-1]) - 12
    boxes = torch.cat([corners.flatten(2), torch.zeros(2, 1, 4)], dim=1)
    image = torch.arange(2.)[:, None, None].expand(-1, 41, -1)
    return boxes, torch.cat([image, boxes], dim=2).flatten(0, 1)


@pytest.mark.parametrize('size, ratio', [(3, 2), (2, 1)])
def test_position_sensitive(size, ratio):
    extractor = LightHeadRoIExtractor(8, [16], 4, out_channels=5, kernel_size=3, output_size=size,
                                      sampling_ratio=ratio)
    features = torch.randn(2, 8, PIXELS[0] // 16, PIXELS[1] // 16)
    boxes, rois = draw()
    with torch.no_grad():
        expected = extractor((features, ), rois)
        found = pool(extractor, (features, ), boxes)
    assert expected.shape == (82, 5, size, size) and (expected.std(dim=0) > 0.01).all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('layer', [ALIGN, dict(ALIGN, sampling_ratio=2)], ids=str)
@pytest.mark.parametrize('strides', [[16], [4, 8, 16]], ids=str)
def test_levels(layer, strides):
    extractor = SingleRoIExtractor(layer, 5, strides, finest_scale=20)
    features = [torch.randn(2, 5, PIXELS[0] // stride, PIXELS[1] // stride) for stride in strides]
    boxes, rois = draw()
    assert len(extractor.map_roi_levels(rois, len(strides)).unique()) == len(strides)
    features.append(torch.full_like(features[-1], torch.nan))  # the RPN's alone
    torch.testing.assert_close(pool(extractor, features, boxes),
                               extractor(features[:-1], rois), rtol=1e-5, atol=1e-5)


def test_other_pooling():
    boxes, _ = draw()
    with pytest.raises(CannotExport, match='SingleRoIExtractor with RoIPool.*cannot be exported'):
        pool(SingleRoIExtractor(dict(type='RoIPool', output_size=3), 5, [16]), [boxes], boxes)
    adaptive = LightHeadRoIExtractor(8, [16], 4, kernel_size=3, sampling_ratio=-1)
    with pytest.raises(CannotExport, match='sampling_ratio=-1 of LightHeadRoIExtractor'):
        pool(adaptive, [boxes], boxes)

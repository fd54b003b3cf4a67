from dsnet_mm.resizers import FixedResizer

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize


@pytest.mark.parametrize('mode', FixedResizer.MODES)
def test_is_interpolate(mode):
    images = torch.rand(2, 3, 17, 12)
    reference = F.interpolate(images, (7, 20), mode=mode)
    assert torch.equal(FixedResizer(mode)(images, (7, 20)), reference)


@pytest.mark.parametrize('mode', ['bilinear', 'bicubic'])
def test_antialias_is_torchvisions(mode):
    images = torch.rand(2, 3, 17, 12)
    torch.testing.assert_close(FixedResizer(mode, antialias=True)(images, (7, 5)),
                               resize(images, [7, 5], InterpolationMode(mode), antialias=True))


def test_area_of_an_integer_ratio_is_the_mean():
    images = torch.rand(1, 1, 6, 9)
    torch.testing.assert_close(FixedResizer('area')(images, (2, 3)), F.avg_pool2d(images, 3))


@pytest.mark.parametrize('kwargs', [dict(mode='linear'), dict(mode='area', antialias=True)])
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=kwargs['mode']):
        FixedResizer(**kwargs)


def test_bad_images_and_sizes():
    with pytest.raises(TypeError, match='int32'):
        FixedResizer()(torch.zeros(1, 3, 4, 4, dtype=torch.int32), (2, 2))
    with pytest.raises(ValueError, match='positive'):
        FixedResizer()(torch.zeros(1, 3, 4, 4), (2, 0))


def test_bytes_are_resized_as_floats():
    images = torch.randint(256, (1, 3, 9, 8), dtype=torch.uint8)
    assert torch.equal(FixedResizer()(images, (4, 5)), FixedResizer()(images.float(), (4, 5)))

from dsnet_mm.resizers import OutputSize
from dsnet_mm.resizers.ops.size import check_images, check_size

import pytest
import torch


@pytest.mark.parametrize('kwargs, size_in, size_out', [
    (dict(target_size=(160, 170)), (300, 400), (160, 170)),
    (dict(scale=0.35), (513, 513), (179, 179)),  # the paper's Table 2
    (dict(scale=0.3), (768, 768), (230, 230)),
    (dict(scale=0.29), (100, 200), (29, 58)),
    (dict(scale=(0.5, 2)), (100, 100), (50, 200)),
    (dict(scale=0.01), (5, 300), (1, 3)),
    (dict(short_edge=165), (300, 400), (165, 220)),
    (dict(short_edge=165), (500, 333), (248, 165)),
    (dict(short_edge=64), (32, 32), (64, 64)),
])
def test_size(kwargs, size_in, size_out):
    assert OutputSize(**kwargs)(*size_in) == size_out


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(), ValueError, 'exactly one.*none'),
    (dict(scale=0.5, short_edge=10), ValueError, 'exactly one.*short_edge.*10'),
    (dict(target_size=(0, 5)), ValueError, r'target_size must be positive, got \(0, 5\)'),
    (dict(target_size=(5, -1)), ValueError, 'positive'),
    (dict(target_size=(5.5, 5)), TypeError, 'target_size must be integers'),
    (dict(target_size=(True, 5)), TypeError, 'integers'),
    (dict(target_size=160), ValueError, 'height, width'),
    (dict(target_size=(1, 2, 3)), ValueError, 'height, width'),
    (dict(scale=0), ValueError, 'positive'),
    (dict(scale=float('nan')), ValueError, 'finite'),
    (dict(scale=(0.5, float('inf'))), ValueError, 'finite'),
    (dict(scale='0.5'), TypeError, 'number'),
    (dict(short_edge=0), ValueError, 'short_edge must be positive'),
    (dict(short_edge=16.5), TypeError, 'short_edge must be integers'),
])
def test_bad_size(kwargs, error, message):
    with pytest.raises(error, match=message):
        OutputSize(**kwargs)


def test_sizes_of_other_integer_types():
    assert check_size(torch.zeros(3, 4).shape) == (3, 4)
    assert check_size(torch.tensor([3, 4]).numpy()) == (3, 4)


@pytest.mark.parametrize('images, error, message', [
    (torch.zeros(1, 3, 4, 4, dtype=torch.int16), TypeError, r'int16.*\.float'),
    ([torch.zeros(3, 4, 4)], TypeError, 'list'),
    (torch.zeros(3, 4, 4), ValueError, r'\(3, 4, 4\)'),
    (torch.zeros(1, 3, 0, 4), ValueError, 'empty'),
])
def test_bad_images(images, error, message):
    with pytest.raises(error, match=message):
        check_images(images)

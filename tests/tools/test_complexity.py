from functools import partial
from pathlib import Path

import complexity
import pytest
import torch
from mmcv.ops import ModulatedDeformConv2dPack
from torch import nn

README = Path(__file__).resolve().parents[2] / 'README.md'


def test_counts_convolutions_by_hand():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    count = complexity.multiply_adds(conv, partial(conv), torch.rand(1, 3, 20, 30))
    assert count == 10 * 15 * 8 * 3 * 9

    deformable = ModulatedDeformConv2dPack(4, 8, 3, padding=1)
    count = complexity.multiply_adds(deformable, partial(deformable), torch.rand(1, 4, 20, 30))
    assert count == 20 * 30 * 9 * 4 * (8 + 27)  # 27: an offset of two and a mask for each of nine


@pytest.mark.parametrize('name', complexity.PIPELINES)
def test_readme_has_the_row(name):
    path, size = complexity.PIPELINES[name]
    assert complexity.row(name, complexity.CONFIGS / path, size) in README.read_text()

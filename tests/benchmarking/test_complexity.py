from functools import partial
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2, GuidedUpsampling
from dsnet_mm.benchmarking import complexity

import pytest
import torch
from mmcv.ops import ModulatedDeformConv2dPack
from torch import nn

PAGE = Path(__file__).resolve().parents[2] / 'docs/models.md'


def test_counts_convolutions_by_hand():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    count = complexity.multiply_adds(conv, partial(conv), torch.rand(1, 3, 20, 30))
    assert count == 10 * 15 * 8 * 3 * 9

    deformable = ModulatedDeformConv2dPack(4, 8, 3, padding=1)
    count = complexity.multiply_adds(deformable, partial(deformable), torch.rand(1, 4, 20, 30))
    assert count == 20 * 30 * 9 * 4 * (8 + 27)  # 27: an offset of two and a mask for each of nine


def test_counts_resizers_by_hand():
    images, pixels = torch.rand(1, 3, 20, 30), 7 * 11
    net = DownsizeNet()
    # Convolutions 3 -> 16 -> 16, the second at 3x3 places each, 1x1 of 4 and of 32 channels.
    assert complexity.multiply_adds(net, partial(net, size=(7, 11)), images) == (
        9 * 48 * 22 * 32 + pixels * (9 * 256 + 64 + 128))
    net = DownsizeNetV2()
    # One more output pixel on each side is embedded.
    assert complexity.multiply_adds(net, partial(net, size=(7, 11)), images) == (
        9 * 13 * 16 * 48 + pixels * (9 * 256 + 144))


@pytest.mark.parametrize('density, seen', [(None, (20, 30)), (2, (14, 22))])
def test_counts_the_upsampling_by_hand(density, seen):
    net = GuidedUpsampling(density=density)
    count = complexity.multiply_adds(net, partial(net, torch.rand(1, 5, 7, 11)),
                                     torch.rand(1, 3, 20, 30))
    height, width = seen
    convolved = 27 * 8 * (height + 2) * (width + 2) + 72 * 8 * height * width
    assert convolved + 72 * 20 * 30 <= count <= convolved + (72 + 20) * 20 * 30


def test_a_guided_heads_upsampling_belongs_to_the_model():
    rows = [complexity.row('', complexity.CONFIGS / f'mini/drive/{name}_drive.py', (560, 534))
            for name in ('unet', 'unet-guided')]
    plain, guided = (float(row.split('|')[4].split()[0]) for row in rows)
    # 864 for each of the large pixels.
    assert guided - plain == pytest.approx(864 * 560 * 534 / 1e9, abs=0.02)
    own = [cell.strip() for cell in rows[1].splitlines()[1].split('|')[1:-1]]
    assert own[:4] == ['of it upsampling', '560×534', '905', '0.26 G']
    assert len(rows[0].splitlines()) == 1 and float(own[5].strip('%')) == pytest.approx(
        100 * 0.26 / guided, abs=1)


@pytest.mark.parametrize('name', complexity.PIPELINES)
def test_the_page_has_the_row(name):
    path, size = complexity.PIPELINES[name]
    assert complexity.row(name, complexity.CONFIGS / path, size) in PAGE.read_text()

"""torchvision's segmentation models behind a resizer that learns."""
from dsnet_mm import DownsizeNet, DownsizeNetV2, FixedResizer, GuidedUpsampling
from dsnet_mm.transforms import DownsizeSegmentation

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.models import segmentation


class Pixelwise(nn.Module):
    """Logits that are the image, so that they show where each pixel went."""

    def forward(self, images):
        return dict(out=images, aux=images[:, :1])


def test_logits_lie_on_the_image():
    images = torch.zeros(1, 3, 96, 128)
    images[:, 0, 24:72, 40:104] = 1
    model = DownsizeSegmentation(Pixelwise(), size=(30, 50))
    logits = model(images)
    assert logits['out'].shape == images.shape and logits['aux'].shape == (1, 1, 96, 128)
    found = logits['out'][0, 0] > 0.5
    rows, columns = (found.any(dim).nonzero()[:, 0] for dim in (1, 0))
    extent = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    # Half a pixel of the small image is 1.6 pixels.
    assert (extent - torch.tensor([40, 24, 104, 72])).abs().max() <= 2


@pytest.mark.parametrize('net', [DownsizeNet(), DownsizeNetV2()])
def test_the_model_sees_rgb_and_the_resizer_bgr(net):
    nn.init.normal_(net.logits.weight, std=5)
    images = torch.rand(2, 3, 40, 60) * torch.tensor([1, 0.5, 0.1])[:, None, None]
    small = net(images.flip(1), (20, 30)).flip(1)
    expected = F.interpolate(small, (40, 60), mode='bilinear')
    torch.testing.assert_close(
        DownsizeSegmentation(Pixelwise(), scale=0.5, resizer=net)(images)['out'], expected)


def test_the_default_resizer():
    assert isinstance(DownsizeSegmentation(Pixelwise(), scale=0.5).resizer, DownsizeNetV2)


def test_untrained_is_bilinear_interpolation_in_front():
    model = segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4).eval()
    images = torch.rand(2, 3, 96, 128)
    learned, fixed = (DownsizeSegmentation(model, short_edge=64, resizer=resizer)(images)['out']
                      for resizer in (DownsizeNet(), FixedResizer()))
    torch.testing.assert_close(learned, fixed)


def test_guided_upsampling_of_the_logits_alone():
    images = torch.rand(2, 3, 40, 60)
    bilinear, guided = (DownsizeSegmentation(Pixelwise(), scale=0.5, upsampling=upsampling)(images)
                        for upsampling in ('bilinear', 'guided'))
    assert torch.equal(guided['aux'], bilinear['aux'])
    assert 0 < (guided['out'] - bilinear['out']).abs().max() < 0.008
    net = GuidedUpsampling()
    torch.nn.init.normal_(net.logits.weight)
    found = DownsizeSegmentation(Pixelwise(), scale=0.5, resizer=FixedResizer(),
                                 upsampling=net)(images)['out']
    small = F.interpolate(images, scale_factor=0.5, mode='bilinear')
    torch.testing.assert_close(found, net(small, images.flip(1)))  # it sees BGR, as all of ours
    with pytest.raises(ValueError, match="upsampling must be .* got 'bicubic'"):
        DownsizeSegmentation(Pixelwise(), scale=0.5, upsampling='bicubic')


def test_bad_size():
    with pytest.raises(ValueError, match='exactly one'):
        DownsizeSegmentation(Pixelwise())


@pytest.mark.parametrize('images, error, message', [
    (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, 'floating-point.*uint8'),
    (torch.rand(3, 8, 8), ValueError, r'\(N, C, H, W\)')])
def test_bad_images(images, error, message):
    with pytest.raises(error, match=message):
        DownsizeSegmentation(Pixelwise(), scale=0.5)(images)


def street_scene(data_root, index: int) -> tuple[Tensor, Tensor]:
    """An image (3, 180, 240) and its labels (180, 240)."""
    file = sorted((data_root / 'camvid/img_dir/train').iterdir())[index]
    image = Image.open(file).convert('RGB').reduce(2)
    labels = Image.open(data_root / f'camvid/ann_dir/train/{file.stem}.png')
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255,
            torch.from_numpy(np.array(labels)[::2, ::2]).long())


def test_overfits_street_scenes_at_their_own_resolution(data_root):
    images, labels = map(torch.stack, zip(*(street_scene(data_root, i) for i in range(2))))
    model = DownsizeSegmentation(segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=12), scale=0.4)
    before = model.resizer.logits.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(25):
        logits = model(images)['out']
        optimizer.zero_grad()
        F.cross_entropy(logits, labels, ignore_index=255).backward()
        optimizer.step()
    assert (model.resizer.logits.weight - before).abs().max() > 1e-3
    assert logits.shape[-2:] == labels.shape[-2:]
    assert (logits.argmax(1) == labels)[labels != 255].float().mean() > 0.85

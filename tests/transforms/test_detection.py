"""torchvision's detectors behind a resizer that learns."""
from xml.etree import ElementTree

from dsnet_mm import DownsizeNet, DownsizeNetV2, FixedResizer
from dsnet_mm.transforms import DownsizeRCNNTransform

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign, box_iou


def backbone(channels: int = 32) -> nn.Module:
    """A small one, with stride 8."""
    layers, width = [], 3
    for _ in range(3):
        layers += [nn.Conv2d(width, channels, 3, 2, 1), nn.GroupNorm(8, channels), nn.ReLU()]
        width = channels
    layers += [nn.Conv2d(width, channels, 3, 1, 1), nn.GroupNorm(8, channels), nn.ReLU()]
    net = nn.Sequential(*layers)
    net.out_channels = channels
    return net


def pooling(size: int) -> MultiScaleRoIAlign:
    return MultiScaleRoIAlign(['0'], size, sampling_ratio=2)


ANCHORS = AnchorGenerator(((16, 32), ), ((0.5, 1, 2), ))
TWO_STAGE = dict(rpn_anchor_generator=ANCHORS, box_roi_pool=pooling(5))
DETECTORS = dict(
    faster_rcnn=lambda **kw: detection.FasterRCNN(backbone(), 2, **TWO_STAGE, **kw),
    mask_rcnn=lambda **kw: detection.MaskRCNN(
        backbone(), 2, mask_roi_pool=pooling(7), **TWO_STAGE, **kw),
    keypoint_rcnn=lambda **kw: detection.KeypointRCNN(
        backbone(), 2, num_keypoints=1, keypoint_roi_pool=pooling(3), **TWO_STAGE, **kw),
    retinanet=lambda **kw: detection.RetinaNet(backbone(), 2, anchor_generator=ANCHORS, **kw),
    fcos=lambda **kw: detection.FCOS(
        backbone(), 2, anchor_generator=AnchorGenerator(((8, ), ), ((1., ), )), **kw),
    ssd=lambda **kw: detection.ssd.SSD(
        SSDBackbone(), DefaultBoxGenerator([[2]], scales=[0.3, 0.6]), (48, 64), 2, **kw),
)


class SSDBackbone(nn.Module):
    """SSD's features come in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.body = backbone()
        self.out_channels = [32]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {'0': self.body(images)}


def sample(height: int, width: int) -> tuple[Tensor, dict[str, Tensor]]:
    """A bright rectangle, with its box, mask and centre."""
    image = torch.rand(3, height, width) * 0.3
    x1, y1, x2, y2 = width // 4, height // 4, width // 2, 3 * height // 4
    image[:, y1:y2, x1:x2] += 0.6
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    mask[:, y1:y2, x1:x2] = 1
    centre = [(x1 + x2) / 2, (y1 + y2) / 2, 1]
    return image, dict(boxes=torch.tensor([[x1, y1, x2, y2]]).float(), labels=torch.tensor([1]),
                       masks=mask, keypoints=torch.tensor([[centre]]))


def test_the_default_resizer():
    transform = DownsizeRCNNTransform([0.], [1.], scale=0.5)
    assert isinstance(transform.resizer, DownsizeNetV2)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('resizer', [DownsizeNet(), FixedResizer()])
def test_is_the_stock_transform_while_untrained(training, resizer):
    stock = GeneralizedRCNNTransform(
        800, 1333, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], size_divisible=8,
        fixed_size=(50, 30)).train(training)
    ours = DownsizeRCNNTransform.replacing(stock, size=(30, 50), resizer=resizer).train(training)
    images, targets = zip(*(sample(*size) for size in [(90, 120), (64, 100)]))
    (expected, wanted), (result, got) = stock(images, targets), ours(images, targets)
    assert result.image_sizes == expected.image_sizes == [(30, 50)] * 2
    torch.testing.assert_close(result.tensors, expected.tensors)
    for ours_, stock_ in zip(got, wanted):
        torch.testing.assert_close(ours_['boxes'], stock_['boxes'])
        torch.testing.assert_close(ours_['keypoints'], stock_['keypoints'])
        assert ours_['masks'].dtype == torch.uint8 and ours_['masks'].shape == (1, 30, 50)
    assert targets[0]['boxes'][0].tolist() == [30, 22, 60, 67]  # nothing given is changed
    assert ours(images)[1] is None


@pytest.mark.parametrize('kwargs, size', [
    (dict(scale=0.5), (45, 60)), (dict(short_edge=30), (30, 40)), (dict(size=(33, 61)), (33, 61))])
def test_targets_stay_on_their_object(kwargs, size):
    image, target = sample(90, 120)
    transform = DownsizeRCNNTransform([0., 0, 0], [1., 1, 1], 1, **kwargs)
    images, [target] = transform([image], [target])
    assert images.image_sizes == [size]
    bright = images.tensors[0].mean(0) > 0.45
    rows, columns = (bright.any(dim).nonzero()[:, 0] for dim in (1, 0))
    found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert (target['boxes'][0] - found).abs().max() < 1
    assert (target['masks'][0].bool() ^ bright).sum() <= 0.05 * bright.sum()
    centre = found.view(2, 2).float().mean(0)
    assert (target['keypoints'][0, 0, :2] - centre).abs().max() < 1


def test_a_trained_resizer_sees_bgr_and_does_not_notice_the_normalisation():
    net = DownsizeNet()
    nn.init.normal_(net.logits.weight)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    transform = DownsizeRCNNTransform(mean.tolist(), std.tolist(), 1, size=(20, 30), resizer=net)
    image = torch.rand(3, 60, 70) * torch.tensor([1, 0.5, 0.1])[:, None, None]
    bgr = 255 * image.flip(0)  # as the preprocessors have it
    expected, wrong = (
        ((net(seen[None], (20, 30))[0].flip(flip) / 255).detach() - mean[:, None, None])
        / std[:, None, None] for seen, flip in ((bgr, [0]), (255 * image, [])))
    result = transform([image])[0].tensors[0]
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)
    assert (result - wrong).abs().max() > 0.1


@pytest.mark.parametrize('name, resizer', [
    *((name, None) for name in DETECTORS), ('faster_rcnn', DownsizeNetV2())])
def test_every_detector_trains_its_resizer_and_predicts(name, resizer):
    model = DETECTORS[name]()
    model.transform = DownsizeRCNNTransform.replacing(
        model.transform, size=(48, 64), resizer=resizer)
    images, targets = zip(*(sample(*size) for size in [(96, 128), (90, 140)]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    net = model.transform.resizer
    before = net.logits.weight.detach().clone()
    sum(model(images, targets).values()).backward()
    optimizer.step()
    assert (net.logits.weight - before).abs().max() > 0
    predictions = model.eval()(images)
    assert [len(p['boxes']) == len(p['scores']) for p in predictions] == [True, True]
    for image, prediction in zip(images, predictions):
        if name == 'mask_rcnn':
            assert prediction['masks'].shape[-2:] == image.shape[-2:]
    assert any(key.startswith('transform.resizer.') for key in model.state_dict())


def test_images_without_objects():
    model = DETECTORS['mask_rcnn']()
    model.transform = DownsizeRCNNTransform.replacing(model.transform, scale=0.5)
    nothing = dict(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long),
                   masks=torch.zeros(0, 96, 128, dtype=torch.uint8))
    image, target = sample(96, 128)
    losses = model([image, image], [nothing, target])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_its_own_size_and_nothing_of_the_old_one_is_shown():
    text = repr(DownsizeRCNNTransform([0.], [1.], scale=0.5))
    assert 'scale=(0.5, 0.5)' in text and 'DownsizeNet' in text and 'min_size' not in text


def test_bad_size():
    with pytest.raises(ValueError, match='exactly one'):
        DownsizeRCNNTransform([0.], [1.])


def cells(data_root, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """A blood smear of 240x320 pixels with the boxes of its white blood cells."""
    image = Image.open(data_root / f'bccd/JPEGImages/{name}.jpg').convert('RGB').reduce(2)
    boxes = [[float(obj.find(f'bndbox/{key}').text) / 2
              for key in ('xmin', 'ymin', 'xmax', 'ymax')] for obj in
             ElementTree.parse(data_root / f'bccd/Annotations/{name}.xml').iter('object')
             if obj.find('name').text == 'WBC']
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    return pixels, dict(boxes=torch.tensor(boxes), labels=torch.ones(len(boxes)).long())


def test_objects_are_found_where_they_are_in_the_original(data_root):
    model = DETECTORS['faster_rcnn'](
        rpn_pre_nms_top_n_train=200, rpn_post_nms_top_n_train=100, box_batch_size_per_image=32)
    model.transform = DownsizeRCNNTransform.replacing(model.transform, size=(96, 128))
    samples = [cells(data_root, f'BloodImage_0000{i}') for i in range(3)]
    images, targets = zip(*samples)
    assert all(len(target['boxes']) == 1 for target in targets)
    before = model.transform.resizer.logits.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(70):
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()
    assert (model.transform.resizer.logits.weight - before).abs().max() > 1e-3
    with torch.no_grad():
        predictions = model.eval()(images)
    for prediction, target in zip(predictions, targets):
        assert prediction['scores'][0] > 0.5
        assert box_iou(prediction['boxes'][:1], target['boxes']) > 0.5

"""torchvision's models behind this package's transforms find in onnxruntime what they find in
PyTorch."""
from collections.abc import Iterator

from dsnet_mm import DownsizeNetV2
from dsnet_mm.deploy import images
from dsnet_mm.deploy.cli import CAN_EXPORT
from dsnet_mm.deploy.errors import CannotExport, Disagrees
from dsnet_mm.deploy.session import Session
from dsnet_mm.deploy.torchvision_models import export
from dsnet_mm.transforms import DownsizeRCNNTransform, DownsizeSegmentation

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import detection, segmentation
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

if not CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)

NOTHING = dict(weights=None, weights_backbone=None)
CLASSES = ['background', 'cell', 'platelet']
POOL = MultiScaleRoIAlign(['0'], 5, sampling_ratio=2)
ANCHORS = AnchorGenerator(((16, 32), ), ((0.5, 1, 2), ))


def backbone() -> nn.Module:
    """A small one, with stride 8."""
    layers: list[nn.Module] = []
    for width in (3, 16, 16):
        layers += [nn.Conv2d(width, 16, 3, 2, 1), nn.GroupNorm(8, 16), nn.ReLU()]
    net = nn.Sequential(*layers)
    net.out_channels = 16
    return net


DETECTORS = {
    'small Faster R-CNN': lambda **kw: detection.FasterRCNN(
        backbone(), rpn_anchor_generator=ANCHORS, box_roi_pool=POOL, **kw),
    'small RetinaNet': lambda **kw: detection.RetinaNet(
        backbone(), anchor_generator=ANCHORS, **kw),
    **{name: lambda name=name, **kw: getattr(detection, name)(**NOTHING, **kw) for name in (
        'fasterrcnn_mobilenet_v3_large_320_fpn', 'fasterrcnn_resnet50_fpn_v2',
        'retinanet_resnet50_fpn', 'fcos_resnet50_fpn',
        'ssdlite320_mobilenet_v3_large')},
}


def build(name: str, **size: object) -> nn.Module:
    """An untrained detector that finds something, behind a resizer."""
    model = DETECTORS[name](num_classes=3)
    model.transform = DownsizeRCNNTransform.replacing(model.transform, **size)
    for key, parameter in model.named_parameters():
        if 'bbox_pred' in key:
            nn.init.normal_(parameter, std=0.01)
        elif any(part in key for part in ('cls_logits', 'cls_score', 'resizer.logits',
                                          'classification_head.module_list')):
            nn.init.normal_(parameter, std=0.1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    targets = [dict(boxes=torch.tensor([[20., 20, 100, 90]]), labels=torch.tensor([1]))] * 2
    with torch.no_grad():  # without statistics of its batch normalisation all features are alike
        model.train()([torch.rand(3, 240, 320) for _ in targets], targets)
    return model.eval()


@pytest.mark.parametrize('name', [
    name if name.startswith('small') else pytest.param(name, marks=pytest.mark.slow)
    for name in DETECTORS])
def test_detector(name, data_root, tmp_path):
    model = build(name, size=(192, 256))
    seen = list(images.load(data_root / 'bccd/JPEGImages', 3, (240, 320)))
    metadata = export(model, tmp_path / 'model.onnx', CLASSES, seen)
    assert metadata.size == [240, 320] and metadata.resized == 'target_size=(192, 256)'
    session = Session(tmp_path / 'model.onnx', threads=1)
    assert session.metadata == metadata
    found = session(seen[0])
    assert 3 < len(found['scores']) <= metadata.boxes and set(found['labels']) <= {0, 1, 2}
    assert found['boxes'][:, 2].max() > 256  # pixels of the full-size image
    with torch.no_grad():
        [expected] = model([torch.from_numpy(seen[0][..., ::-1].copy()).permute(2, 0, 1) / 255])
    np.testing.assert_allclose(found['scores'], expected['scores'].numpy(), atol=1e-3)
    with pytest.raises(ValueError, match='takes images of 240x320 pixels'):
        session(seen[0][1:])


@pytest.mark.parametrize('upsampling', ['bilinear', 'guided'])
def test_segmenter(upsampling, data_root, tmp_path):
    model = segmentation.lraspp_mobilenet_v3_large(**NOTHING, num_classes=3)
    for layer in (model.classifier.low_classifier, model.classifier.high_classifier):
        nn.init.normal_(layer.weight, std=0.3)
    model = DownsizeSegmentation(model, scale=0.4, resizer=DownsizeNetV2(), upsampling=upsampling)
    for name, parameter in model.named_parameters():
        if 'logits.weight' in name:
            nn.init.normal_(parameter, std=0.1)
    seen = list(images.load(data_root / 'camvid/img_dir/val', 2))
    seen.append(np.zeros((90, 120, 3), np.uint8))  # where contrast is zero
    metadata = export(model, tmp_path / 'model.onnx', CLASSES, seen)
    assert metadata.size is None and metadata.resized == 'scale=(0.4, 0.4)'
    session = Session(tmp_path / 'model.onnx', threads=1)
    assert session.session.get_inputs()[0].shape == ['batch', 'height', 'width', 3]
    labels = session(seen[0])['labels']
    assert labels.shape == seen[0].shape[:2] and len(np.unique(labels)) > 1


def test_what_disagrees_is_not_written(tmp_path):
    model = build('small RetinaNet', scale=0.5)

    def wrong() -> Iterator[np.ndarray]:
        made = images.make((120, 160))
        yield next(made)
        with torch.no_grad():  # the model is another one by the time of the check
            model.head.classification_head.cls_logits.bias += 1
        yield from made

    with pytest.raises(Disagrees, match='not written: on image 1 of 120x160 pixels'):
        export(model, tmp_path / 'model.onnx', CLASSES, wrong())
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported(tmp_path):
    model = DETECTORS['small RetinaNet'](num_classes=3)
    with pytest.raises(CannotExport, match='RetinaNet without a resizer .* put one in front'):
        export(model, tmp_path / 'model.onnx', CLASSES, images.make())
    with pytest.raises(ValueError, match='no images to check the file on'):
        export(model, tmp_path / 'model.onnx', CLASSES, [])
    with pytest.raises(FileNotFoundError, match='there is no folder .*none'):
        export(model, tmp_path / 'none/model.onnx', CLASSES, images.make())
    masks = detection.MaskRCNN(backbone(), 3, rpn_anchor_generator=ANCHORS, box_roi_pool=POOL,
                               mask_roi_pool=POOL)
    with pytest.raises(CannotExport, match='MaskRCNN with masks or key points cannot be exported'):
        export(masks, tmp_path / 'model.onnx', CLASSES, images.make())

"""torchvision's segmenters behind a resizer find in onnxruntime what they find in PyTorch."""
from dsnet_mm import DownsizeNetV2
from dsnet_mm.deploy.errors import CannotExport, Disagrees
from dsnet_mm.deploy.export.sample_images import load_images, synthetic_images
from dsnet_mm.deploy.export.torchvision_models import TorchvisionGraph, write_torchvision_onnx
from dsnet_mm.deploy.export.translation import CAN_EXPORT
from dsnet_mm.deploy.runtime.images import pick_images
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.transforms import DownsizeSegmentation

import numpy as np
import pytest
from torch import nn
from torchvision.models import segmentation

if not CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)

CLASSES = ['background', 'cell', 'platelet']


def build(upsampling: str = 'bilinear') -> DownsizeSegmentation:
    """An untrained segmenter that finds several classes, behind a resizer."""
    model = segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3)
    for layer in (model.classifier.low_classifier, model.classifier.high_classifier):
        nn.init.normal_(layer.weight, std=0.3)
    model = DownsizeSegmentation(model, scale=0.4, resizer=DownsizeNetV2(), upsampling=upsampling)
    for name, parameter in model.named_parameters():
        if 'logits.weight' in name:
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize('upsampling', ['bilinear', 'guided'])
def test_segmenter(upsampling, data_root, tmp_path):
    model = build(upsampling)
    seen = list(load_images(pick_images(data_root / 'camvid/img_dir/val', 2)))
    seen.append(np.zeros((90, 120, 3), np.uint8))  # where contrast is zero
    metadata = write_torchvision_onnx(model, tmp_path / 'model.onnx', CLASSES, seen)
    assert metadata.size is None and metadata.resized == 'scale=(0.4, 0.4)'
    session = Session(tmp_path / 'model.onnx', threads=1)
    assert session.session.get_inputs()[0].shape == ['batch', 'height', 'width', 3]
    labels = session(seen[0])['labels']
    assert labels.shape == seen[0].shape[:2] and len(np.unique(labels)) > 1


def test_what_disagrees_is_not_written(tmp_path, monkeypatch):
    model = build()
    predict = TorchvisionGraph.predict

    def wrong(self: TorchvisionGraph, image: np.ndarray) -> dict[str, np.ndarray]:
        found = predict(self, image)
        return dict(labels=(found['labels'] + 1) % 3, scores=np.roll(found['scores'], 1, axis=0))

    monkeypatch.setattr(TorchvisionGraph, 'predict', wrong)
    with pytest.raises(Disagrees, match='not written: on image 0 of 120x160 pixels'):
        write_torchvision_onnx(model, tmp_path / 'model.onnx', CLASSES,
                               synthetic_images((120, 160)))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported(tmp_path):
    model = build()
    with pytest.raises(CannotExport, match='LRASPP, .* use dsnet_mm.transforms'):
        write_torchvision_onnx(model.model, tmp_path / 'model.onnx', CLASSES, synthetic_images())
    with pytest.raises(ValueError, match='no images to check the file on'):
        write_torchvision_onnx(model, tmp_path / 'model.onnx', CLASSES, [])
    with pytest.raises(FileNotFoundError, match='there is no folder .*none'):
        write_torchvision_onnx(model, tmp_path / 'none/model.onnx', CLASSES, synthetic_images())

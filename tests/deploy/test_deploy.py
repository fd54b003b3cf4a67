"""The whole way: a model is trained, exported, and predicts where there is no PyTorch."""
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from dsnet_mm.config import load_config
from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.deploy.evaluation import build_dataset
from dsnet_mm.deploy.evaluation import evaluate as measured
from dsnet_mm.deploy.export import writer
from dsnet_mm.deploy.export.graph import build_graph
from dsnet_mm.deploy.export.precision import quantize
from dsnet_mm.deploy.export.sample_images import synthetic_images
from dsnet_mm.deploy.export.writer import write_onnx
from dsnet_mm.deploy.runtime.session import Session

import cv2
import numpy as np
import pytest
import torch
from deployed import build, evaluate, image_paths, overfit, predict

tool = pytest.importorskip('dsnet_mm.cli.export')
if not tool.CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)

# config, data set, its images, steps of training, what is measured, and what it reaches at least
MODELS = [
    ('atss-mobilenetv2_bccd', 'bccd', 'JPEGImages', 30, 'pascal_voc/mAP', 0.05),
    *(pytest.param(*arguments, marks=pytest.mark.slow) for arguments in [
        ('centernet-mobilenetv2_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.5),
        ('yolox-mobilenetv2_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.05),
        ('refinedet_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.5),
        ('lighthead_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.2),
        ('detr_bccd', 'bccd', 'JPEGImages', 200, 'pascal_voc/mAP', 0.01),
        ('fcn-mobilenetv2_camvid', 'camvid', 'img_dir/val', 25, 'mIoU', 20),
        ('deeplabv3plus_camvid', 'camvid', 'img_dir/val', 80, 'mIoU', 10),
        ('unet_drive', 'drive', 'images/validation', 25, 'mIoU', 50),
        ('unet-guided_drive', 'drive', 'images/validation', 25, 'mIoU', 40),
    ]),
]


@pytest.mark.parametrize('config, data_set, folder, steps, metric, least', MODELS)
def test_file_is_as_good_as_the_model(config, data_set, folder, steps, metric, least, data_root,
                                      pretrained, tmp_path):
    path = f'configs/mini/{data_set}/{config}.py'
    cfg = load_config(path, {'data_root': str(data_root / data_set)})
    model = overfit(cfg, steps)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    file = tmp_path / 'model.onnx'
    arguments = ['deploy', path, tmp_path / 'model.pth', file, '--images',
                 data_root / data_set / folder]
    tool.main([*map(str, arguments)])
    assert sorted(each.name for each in tmp_path.iterdir()) == ['model.onnx', 'model.pth']
    session = Session(file, threads=1)
    assert session.metadata.size is None and session.metadata.resized == str(
        model.data_preprocessor.output_size)
    [source] = session.session.get_inputs()
    assert source.shape == ['batch', 'height', 'width', 3]

    predict(file, image_paths(cfg), tmp_path / 'out')
    of_model, of_file = evaluate(model, cfg, tmp_path / 'out')
    print(config, of_model[metric], of_file[metric])
    assert of_model[metric] >= least
    points = 0.1 if metric == 'mIoU' else 0.001
    assert of_file[metric] == pytest.approx(of_model[metric], abs=points)
    assert measured(session, cfg, build_dataset(cfg))[metric] == pytest.approx(of_file[metric])


@pytest.mark.slow
@pytest.mark.parametrize('config', [
    'centernet_bccd', 'refinedet_bccd', 'detr_bccd', 'lighthead_bccd', 'fcn_camvid',
    'deeplabv3plus_camvid', 'spnet_camvid'])
def test_the_papers_pipelines(config, tmp_path):
    model, cfg = build(config)
    write_onnx(build_graph(model, cfg), cfg, tmp_path / 'model.onnx', synthetic_images())
    assert Session(tmp_path / 'model.onnx').metadata.size is None


@pytest.mark.parametrize('size, density, trained', [
    ((130, 160), 2, True), pytest.param(None, None, True, marks=pytest.mark.slow),
    pytest.param(None, None, False, marks=pytest.mark.slow)])
def test_guided_head(size, density, trained, tmp_path):
    model, cfg = build('unet-guided_drive', {
        'model.type': 'dsnet_mm.GuidedEncoderDecoder',
        'model.decode_head.upsampling.density': density})
    if not trained:
        model.decode_head.upsampling.reset_parameters()
    graph = build_graph(model, cfg, scores=True)
    seen = list(synthetic_images(size))
    for image in seen:
        image[:50, :70] = 0  # as a letterbox: no contrast, no brightness
    write_onnx(graph, cfg, tmp_path / 'model.onnx', seen, size)
    session = Session(tmp_path / 'model.onnx', threads=1)
    found = session(next(synthetic_images((130, 160))))
    assert found['labels'].shape == (130, 160) and found['scores'].shape == (2, 40, 48)
    assert session.session.get_inputs()[0].shape == ['batch', *(size or ('height', 'width')), 3]


def test_one_size(tmp_path, monkeypatch):
    """What is open only for images of one size, half precision and 8-bit integers, also with detail
    maps; and what disagrees is not written."""
    model, cfg = build('unet_cracks', {
        'model.data_preprocessor.scale': None, 'model.data_preprocessor.short_edge': 90,
        'model.data_preprocessor.resizer.detail_channels': 4, 'model.backbone.detail_channels': 4,
        'model.backbone.type': 'dsnet_mm.DetailBackbone', 'model.backbone.backbone': 'UNet'})
    graph = build_graph(model, cfg, 'nchw', 'rgb', scores=True)
    size, file = (210, 160), tmp_path / 'model.onnx'
    monkeypatch.setattr(writer, 'trace', cache(writer.trace))  # once is enough
    metadata = write_onnx(graph, cfg, file, synthetic_images(size), size, opset=18)
    assert metadata.classes == ['background', 'crack'] and metadata.palette[1] == [255, 60, 60]
    assert metadata.size == [210, 160] and metadata.resized == 'short_edge=90'
    session = Session(file, threads=1)
    assert session.metadata == metadata
    assert session.session.get_inputs()[0].shape == ['batch', 3, 210, 160]
    found = session(next(synthetic_images(size)))
    assert found['labels'].shape == size and found['scores'].shape == (2, 118, 90)
    with pytest.raises(ValueError, match='takes images of 210x160 pixels'):
        session(np.zeros((211, 160, 3), np.uint8))

    [image] = list(synthetic_images(size))[:1]
    half, eight = tmp_path / 'half.onnx', tmp_path / 'eight.onnx'
    described = write_onnx(graph, cfg, half, synthetic_images(size), size, opset=18, half=True)
    assert described == replace(metadata, precision='float16')
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    quantize(file, [tmp_path / 'image.png'], eight)
    for path, share in ((half, 0.99), (eight, 0.9)):
        other = Session(path, threads=1)(image)
        assert path.stat().st_size < 0.8 * file.stat().st_size
        assert other['scores'].dtype == np.float32 and other['scores'].shape == (2, 118, 90)
        assert (other['labels'] == session(image)['labels']).mean() >= share
        path.unlink()
    (tmp_path / 'image.png').unlink()

    def wrong() -> Iterator[np.ndarray]:
        with torch.no_grad():  # the model is another one by the time of the check
            model.decode_head.conv_seg.bias[1] += 1
        yield from synthetic_images(size)

    with pytest.raises(Disagrees, match='not written: on image 0 of 210x160 pixels .* of the pix'):
        write_onnx(graph, cfg, tmp_path / 'wrong.onnx', wrong(), size, opset=18)
    assert [each.name for each in tmp_path.iterdir()] == ['model.onnx']

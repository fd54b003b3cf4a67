"""The whole way: a model is trained, exported, and predicts where there is no PyTorch."""
import sys

from dsnet_mm.config import load_config
from dsnet_mm.deploy.session import Session

import pytest
import torch
from deployed import evaluate, image_paths, overfit, predict

tool = pytest.importorskip('export_onnx')
if not tool.CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)

# config, data set, its images, steps of training, what is measured, and what it reaches at least
MODELS = [
    ('atss-mobilenetv2_bccd', 'bccd', 'JPEGImages', 40, 'pascal_voc/mAP', 0.05),
    ('fcn-mobilenetv2_camvid', 'camvid', 'img_dir/val', 25, 'mIoU', 10),
    *(pytest.param(*arguments, marks=pytest.mark.slow) for arguments in [
        ('centernet-mobilenetv2_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.05),
        ('yolox-mobilenetv2_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.05),
        ('refinedet_bccd', 'bccd', 'JPEGImages', 80, 'pascal_voc/mAP', 0.01),
        ('detr_bccd', 'bccd', 'JPEGImages', 40, 'pascal_voc/mAP', 0),
        ('deeplabv3plus_camvid', 'camvid', 'img_dir/val', 25, 'mIoU', 10),
        ('unet_drive', 'drive', 'images/validation', 25, 'mIoU', 40),
    ]),
]


@pytest.mark.parametrize('config, data_set, folder, steps, metric, least', MODELS)
def test_file_is_as_good_as_the_model(config, data_set, folder, steps, metric, least, data_root,
                                      pretrained, tmp_path, monkeypatch):
    path = f'configs/mini/{config}.py'
    cfg = load_config(path, {'data_root': str(data_root / data_set)})
    model = overfit(cfg, steps)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    file = tmp_path / 'model.onnx'
    arguments = ['deploy', path, tmp_path / 'model.pth', file, '--images',
                 data_root / data_set / folder]
    monkeypatch.setattr(sys, 'argv', ['export_onnx.py', *map(str, arguments)])
    tool.main()
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

"""dsnet-mm export: what onnxruntime makes of real images is what PyTorch makes of them."""
from collections.abc import Callable
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2
from dsnet_mm.config import build_model, load_config
from dsnet_mm.deploy.errors import Disagrees
from dsnet_mm.resizers import ConvexResizer, OutputSize, pretrained

import cv2
import pytest
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')
tool = pytest.importorskip('dsnet_mm.cli.export')
parts = pytest.importorskip('dsnet_mm.deploy.export.parts')
if not tool.CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)

# N, H and W: ten sizes that go in, and so ten pairs of sizes
SIZES = [(1, 300, 300), (2, 240, 320), (1, 360, 480), (1, 200, 333), (2, 128, 128), (3, 97, 131),
         (1, 161, 160), (1, 75, 301), (2, 213, 64), (1, 320, 90)]
# config, its options, the data set, and the outputs with their number of dimensions
MODELS = {
    'centernet': (
        'centernet_bccd', {'model.data_preprocessor.target_size': (100, 120),
                           'model.data_preprocessor.pad_size_divisor': 32}, 'bccd/JPEGImages',
        dict(center_heatmap=4, wh=4, offset=4)),
    'refinedet': (
        'refinedet_bccd', {}, 'bccd/JPEGImages',
        {f'{kind}_{level}': 4 for kind in ('cls_scores', 'bbox_preds', 'arm_cls_scores',
                                           'arm_bbox_preds') for level in range(4)}),
    'detr': ('detr_bccd', {}, 'bccd/JPEGImages', dict(cls_scores=4, bbox_preds=4)),
    'deeplabv3plus': ('deeplabv3plus_camvid', {}, 'camvid/img_dir/val', dict(seg_logits=4)),
    'deeplabv3plus behind V2': (
        'deeplabv3plus_camvid', {'model.data_preprocessor.resizer.type': 'DownsizeNetV2'},
        'camvid/img_dir/val', dict(seg_logits=4)),
}


@pytest.fixture(scope='module')
def run() -> Callable[..., None]:
    """Runs the tool in this process, where PyTorch is loaded."""

    def run(*arguments: object) -> None:
        tool.main([*map(str, arguments)])

    return run


def load_images(folder: Path, number: int, height: int, width: int) -> Tensor:
    """Corners of so many images, as bytes."""
    images = [cv2.imread(str(path)) for path in sorted(folder.iterdir())[:number]]
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1)[:, :height, :width]
                        for image in images]).contiguous()


def agree(file: Path, images: Tensor, expected: list[Tensor], names: list[str],
          tolerance: float = 1e-4) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    [source] = session.get_inputs()
    assert source.name == 'images' and source.shape == ['batch', 3, 'height', 'width']
    assert [output.name for output in session.get_outputs()] == names
    outputs = session.run(None, {'images': images.numpy()})
    for name, value, other in zip(names, outputs, expected, strict=True):
        limit = tolerance * float(other.max() - other.min())
        torch.testing.assert_close(torch.from_numpy(value), other, rtol=0, atol=limit, msg=name)


@pytest.fixture(scope='module')
def second_version(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    net = DownsizeNetV2()
    nn.init.normal_(net.logits.weight, std=5)  # far from its prior
    file = tmp_path_factory.mktemp('weights') / 'v2.safetensors'
    file.write_bytes(pretrained.to_bytes(net, {}))
    return file


@pytest.mark.parametrize('weights', ['camvid-deeplabv3plus', 'second_version'])
@pytest.mark.parametrize('arguments, size, dtype', [
    (('--size', 87, 101), OutputSize((87, 101)), torch.float32),
    (('--scale', 0.35, '--uint8'), OutputSize(scale=0.35), torch.uint8),
    (('--size', 16, 20), OutputSize((16, 20)), torch.float32),
], ids=['fixed, float', 'scale, uint8', 'far smaller'])
def test_resizer(weights, arguments, size, dtype, run, request, data_root, tmp_path):
    if weights == 'second_version':
        weights = request.getfixturevalue(weights)
    run('resizer', weights, tmp_path / 'resizer.onnx', *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ['resizer.onnx']
    net = ConvexResizer.from_pretrained(weights).requires_grad_(False)
    for shape in SIZES:
        images = load_images(data_root / 'camvid/img_dir/val', *shape).to(dtype)
        small = net(images, size(*images.shape[-2:]))
        assert small.max() - small.min() > 100
        agree(tmp_path / 'resizer.onnx', images, [small], ['small'])
        # Without contrast, as at night or beside a letterbox.
        images[..., images.shape[-1] // 3:] = 0
        agree(tmp_path / 'resizer.onnx', images, [net(images, size(*images.shape[-2:]))], ['small'],
              tolerance=3e-4)
        images[:] = 0
        agree(tmp_path / 'resizer.onnx', images, [torch.zeros_like(small)], ['small'])


def build(config: str, options: dict) -> BaseModel:
    """A model in which nothing is zero that would hide a mistake."""
    model = build_model(load_config(config, options))
    for name, parameter in model.named_parameters():
        if 'conv_offset' in name or 'resizer.logits' in name:
            nn.init.normal_(parameter, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize('name', [
    pytest.param('centernet', marks=pytest.mark.skipif(
        onnxruntime.__version__.startswith('1.23.'), reason='no deformable convolution')),
    pytest.param('refinedet', marks=pytest.mark.slow),
    pytest.param('detr', marks=pytest.mark.slow),
    'deeplabv3plus',
    'deeplabv3plus behind V2',
])
def test_resizer_and_model(name, run, data_root, tmp_path):
    config, options, folder, outputs = MODELS[name]
    config = f'configs/mini/{config.split("_")[-1]}/{config}.py'
    model = build(config, options)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'model.pth')
    run('model', config, tmp_path / 'model.pth', tmp_path / 'model.onnx', '--uint8',
        *(('--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in options.items()))
          if options else ()))
    for shape in SIZES:
        images = load_images(data_root / folder, *shape)
        expected = torch.utils._pytree.tree_leaves(parts.own_raw_outputs(model, images))
        assert [value.dim() for value in expected] == list(outputs.values())
        agree(tmp_path / 'model.onnx', images, expected, list(outputs))


def test_what_disagrees_is_not_written(tmp_path):
    net = DownsizeNet().eval().requires_grad_(False)
    graph = parts.ResizerGraph(net, OutputSize((20, 30)))
    out = tmp_path / 'resizer.onnx'
    with pytest.raises(Disagrees, match='not written: .*small is off by .* more than 0.0001'):
        parts.write_part(graph, lambda images: net(images, (20, 30)) + 0.05, out, torch.float32)
    assert not list(tmp_path.iterdir())
    parts.write_part(graph, graph, out, torch.float32)
    with pytest.raises(Disagrees, match=r'\(1, 3, 20, 30\) instead of \(1, 3, 30, 20\)'):
        parts.check_part(out, lambda images: net(images, (30, 20)), torch.rand(1, 3, 40, 50))
    with pytest.raises(Disagrees, match='off by nan'):
        parts.check_part(out, lambda images: net(images, (20, 30)).log().log(),
                         torch.rand(1, 3, 40, 50))


@pytest.mark.parametrize('config, message', [
    ('configs/mini/bccd/lighthead_bccd.py', 'short_edge=165 cannot be exported'),
    ('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', 'has no resizer'),
])
def test_what_cannot_be_exported(config, message, run, tmp_path):
    checkpoint = tmp_path / 'model.pth'
    torch.save(build_model(load_config(config)).state_dict(), checkpoint)
    with pytest.raises(SystemExit, match=message):
        run('model', config, checkpoint, tmp_path / 'model.onnx')
    assert [*tmp_path.iterdir()] == [checkpoint]


def test_what_is_refused_before_the_work(run, tmp_path, capsys):
    checkpoint, config = tmp_path / 'model.pth', 'configs/mini/cracks/unet_cracks.py'
    torch.save(build_model(load_config(config)).state_dict(), checkpoint)
    with pytest.raises(SystemExit, match='there is no folder .*no to write model.onnx into'):
        run('deploy', config, checkpoint, tmp_path / 'no/model.onnx')
    with pytest.raises(SystemExit, match='model.pth is a file: give the folder of the images'):
        run('deploy', config, checkpoint, tmp_path / 'model.onnx', '--images', checkpoint)
    with pytest.raises(SystemExit, match='of another model than the config'):
        run('model', 'configs/mini/camvid/fcn-mobilenetv2_camvid.py', checkpoint,
            tmp_path / 'model.onnx')
    with pytest.raises(SystemExit):
        run('deploy', config, checkpoint, tmp_path / 'model.onnx', '--size', 0, 100)
    assert '--size must be positive numbers of pixels, got [0, 100]' in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [checkpoint]

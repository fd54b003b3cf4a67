"""dsnet-mm visualize: pages that show what resizers do to images."""
import math
from collections.abc import Callable
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2, FixedResizer, GuidedUpsampling
from dsnet_mm.cli import visualize as tool
from dsnet_mm.config import load_config
from dsnet_mm.registry import build_resizer
from dsnet_mm.visualization import coefficient_maps, image_to_rgb, upsampling_maps
from dsnet_mm.visualization.page import CAPTIONS, build_pipeline, load_image

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmdet.registry import DATASETS as MMDET
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS as MMSEG

DET = 'configs/mini/textures/centernet_textures.py'
SEG = 'configs/mini/textures/deeplabv3plus_textures.py'


@pytest.fixture
def trained() -> DownsizeNet:
    net = DownsizeNet()
    torch.nn.init.normal_(net.logits.weight)
    return net.requires_grad_(False)


@pytest.fixture
def checkpoint(trained, tmp_path) -> Path:
    """What of a checkpoint is read, and something else in it."""
    weights = {f'data_preprocessor.resizer.{key}': value
               for key, value in trained.state_dict().items()}
    path = tmp_path / 'epoch_7.pth'
    torch.save(dict(state_dict={'backbone.weight': torch.zeros(1), **weights}), path)
    return path


@pytest.fixture
def images(textures) -> list[Path]:
    return sorted((textures / 'JPEGImages').glob('*'))[:2]


@pytest.fixture
def page(monkeypatch) -> Callable[..., Figure]:
    """Runs the tool in this process; returns the last page, still as a figure."""

    def run(*arguments: object) -> Figure:
        drawn = []
        draw = tool.draw_page
        monkeypatch.setattr(tool, 'draw_page', lambda *a: drawn.append(draw(*a)) or drawn[-1])
        tool.main([*map(str, arguments)])
        return drawn[-1]

    return run


def pixels(figure: Figure, row: int, column: int) -> np.ndarray:
    """What the panel at a row and a column shows."""
    [axes] = [axes for axes in figure.axes if axes.get_subplotspec() is not None
              and (axes.get_subplotspec().rowspan.start,
                   axes.get_subplotspec().colspan.start) == (row, column)]
    [image] = axes.get_images()
    return image.get_array()


def test_pages_are_written(run_tool, images, checkpoint, tmp_path):
    output = run_tool('dsnet-mm visualize', DET, checkpoint, f'again={checkpoint}', '--images',
                      *images, '--variants', 'bilinear',
                      "wide={'type': 'DownsizeNet', 'channels': 4}",
                      '--out', tmp_path / 'pages', '--cfg-options',
                      'model.data_preprocessor.target_size=(64,64)')
    for image in images:
        path = tmp_path / f'pages/{image.stem}.png'
        assert str(path) in output
        height, width, _ = cv2.imread(str(path)).shape
        # Five square panels beside each other: the input image and four variants. As many below
        # each other: images, crops, three networks' maps.
        assert width > 1800 and 0.85 < height / width < 1.1


def test_a_page_shows_what_the_variants_do(page, images, checkpoint, trained, tmp_path):
    figure = page(DET, checkpoint, '--images', images[0], '--variants', 'bilinear',
                  '--out', tmp_path, '--crop', 20, 40, 50, 30, '--cfg-options',
                  'model.data_preprocessor.target_size=(64,64)')
    large = torch.from_numpy(cv2.imread(str(images[0]))).permute(2, 0, 1)[None].float()
    assert large.shape[2:] == (300, 300)  # the pipeline's Resize has nothing to do
    shown = [large[0], FixedResizer()(large, (64, 64))[0], trained(large, (64, 64))[0]]
    for column, image in enumerate(shown):
        for row in range(2):
            difference = pixels(figure, row, column).astype(int) - image_to_rgb(image)
            assert abs(difference).max() <= 1
    for column, values in enumerate(coefficient_maps(trained, large, (64, 64)).values()):
        np.testing.assert_allclose(pixels(figure, 2, column), values[0], atol=1e-4)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ['input image, 300×300', 'bilinear, 64×64', 'epoch_7, 64×64',
                      'epoch_7: largest coefficient', 'epoch_7: entropy of the coefficients',
                      'epoch_7: distance to the prior']
    assert [axes.get_xlim() + axes.get_ylim() for axes in figure.axes[:6]] == 3 * [
        (0, 300, 300, 0), (20, 70, 70, 40)]


def test_maps_of_nine_samples(page, images, tmp_path):
    figure = page(DET, '--images', images[0], '--variants', 'downsizenet-v2', '--out', tmp_path,
                  '--cfg-options', 'model.data_preprocessor.target_size=(64,64)')
    large = torch.from_numpy(cv2.imread(str(images[0]))).permute(2, 0, 1)[None].float()
    maps = coefficient_maps(DownsizeNetV2(), large, (64, 64))
    for column, values in enumerate(maps.values()):
        np.testing.assert_allclose(pixels(figure, 2, column), values[0], atol=1e-4)
    [argmax] = [axes for axes in figure.axes if axes.get_title().endswith('largest coefficient')]
    assert argmax.get_images()[0].get_clim() == (-0.5, 8.5)


def test_by_default_it_magnifies_where_the_variants_differ(page, tmp_path):
    """Averaging changes noise only."""
    image = np.full((200, 400, 3), 128, np.uint8)
    image[120:160, 40:90] = np.random.default_rng(0).integers(0, 255, (40, 50, 3))
    path = tmp_path / 'noise.png'
    cv2.imwrite(str(path), image)
    figure = page(SEG, '--images', path, '--variants', 'bilinear', 'area', '--out', tmp_path)
    (left, right), (bottom, top) = figure.axes[1].get_xlim(), figure.axes[1].get_ylim()
    assert left < 45 and 85 < right < left + 105 and top < 125 and 155 < bottom < top + 55


@pytest.mark.parametrize('config, datasets', [(DET, MMDET), (SEG, MMSEG)])
def test_resizers_get_what_they_get_at_test(config, datasets, textures):
    cfg = load_config(config, {'data_root': str(textures)})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        expected = datasets.build(cfg.test_dataloader.dataset)[1]
    path = Path(expected['data_samples'].img_path)
    image = load_image(path, build_pipeline(cfg)).image
    assert image.dtype == expected['inputs'].dtype and torch.equal(image, expected['inputs'])


@pytest.mark.parametrize('config', [
    DET,  # squeezes the image into a square
    'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',  # enlarges it
    'mmdet::centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco.py',  # centres it in padding
    SEG])
def test_axes_are_in_pixels_of_the_original(config, tmp_path):
    image = np.zeros((150, 330, 3), np.uint8)
    image[40:80, 100:220] = 255
    cv2.imwrite(str(tmp_path / 'box.png'), image)
    large = load_image(tmp_path / 'box.png', build_pipeline(load_config(config)))
    assert large.shape == (150, 330)
    left, right, bottom, top = large.extent
    rows, columns = (np.flatnonzero((large.image[0] > 127).any(axis).numpy()) for axis in (1, 0))
    height, width = large.image.shape[1:]
    found = [start + (end - start) * edge / size for start, end, size, edges in (
        (left, right, width, columns), (top, bottom, height, rows))
        for edge in (edges[0], edges[-1] + 1)]
    assert np.allclose(found, (100, 220, 40, 80), atol=1.5)


def test_bad_images(page, tmp_path):
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'empty.png').write_text('')
    for name in ('text', 'empty', 'missing'):
        with pytest.raises(SystemExit, match=f'cannot read the image .*{name}.png'):
            page(SEG, '--images', tmp_path / f'{name}.png', '--out', tmp_path)


@pytest.mark.parametrize('crop', [
    (-1, 0, 9, 9), (0, 0, 301, 9), (0, 292, 9, 9), (5, 5, 0, 9), (5, 5, 9, -3)])
def test_a_crop_outside_the_image(crop, page, images, tmp_path):
    with pytest.raises(SystemExit, match='--crop .* is not inside .* is 300x300 pixels'):
        page(DET, '--images', images[0], '--out', tmp_path, '--crop', *crop)


@pytest.mark.parametrize('arguments, message', [
    ((DET, '--variants', 'bilinea'), "unknown variant 'bilinea'"),
    ((DET, '--variants', 'area', 'area'), "different names, got ['area', 'area']"),
    ((DET, '--variants'), 'different names, got []'),
    ((DET, 'gone=epoch_9.pth'), 'no checkpoint epoch_9.pth'),
    (('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', ), 'has no resizer: add --cfg-options'),
])
def test_bad_arguments(arguments, message, page, images, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        page(*arguments, '--images', images[0], '--out', tmp_path)
    assert message in str(error.value) + capsys.readouterr().err


def test_pages_of_one_name(page, images, tmp_path, capsys):
    with pytest.raises(SystemExit):
        page(DET, '--images', images[0], tmp_path / images[0].name, '--out', tmp_path)
    assert f'several --images are named {images[0].stem}' in capsys.readouterr().err


def test_a_checkpoint_of_another_resizer(page, images, checkpoint, tmp_path):
    with pytest.raises(SystemExit, match="epoch_7.pth does not hold .*'channels': 4"):
        page(DET, checkpoint, '--images', images[0], '--out', tmp_path, '--cfg-options',
             'model.data_preprocessor.resizer.channels=4')


def test_guided_upsampling(images, page, tmp_path):
    net = GuidedUpsampling()
    torch.nn.init.normal_(net.logits.weight)
    model = {f'decode_head.upsampling.{key}': value for key, value in net.state_dict().items()}
    model.update({f'data_preprocessor.resizer.{key}': value
                  for key, value in DownsizeNetV2().state_dict().items()})
    torch.save(model, tmp_path / 'model.pth')
    figure = page('configs/mini/drive/unet-guided_drive.py', f'mine={tmp_path}/model.pth',
                  '--images', images[0], '--out', tmp_path)
    titles = [panel.get_title() for panel in figure.axes]
    row = [i for i, title in enumerate(titles) if title.startswith('mine, guided upsampling: ')]
    assert [titles[i].split(': ')[1] for i in row] == list(CAPTIONS.values())
    image = torch.from_numpy(cv2.imread(str(images[0]))).permute(2, 0, 1)[None].float()
    size = [math.floor(n * 0.3 + 1e-6) for n in image.shape[2:]]
    expected = upsampling_maps(net, image, size)['argmax'][0]
    np.testing.assert_array_equal(figure.axes[row[0]].images[0].get_array(), expected)


def test_detail_maps_have_a_row(images, page, tmp_path):
    figure = page(DET, '--images', images[0], '--variants', 'bilinear', 'downsizenet-v2+detail',
                  '--out', tmp_path)
    [panel] = [axes for axes in figure.axes if axes.get_title().endswith('8 detail maps')]
    assert panel.get_title() == 'downsizenet-v2+detail: 8 detail maps'
    torch.manual_seed(0)
    net = build_resizer(dict(type='DownsizeNetV2', detail_channels=8))
    inputs = load_image(images[0], build_pipeline(load_config(DET))).image
    shown = panel.images[0].get_array()
    height, width = shown.shape[0], shown.shape[1] // 8
    detail = net(inputs[None].float(), (height, width))[0, 3:].detach()
    np.testing.assert_allclose(shown, torch.cat([*detail], dim=1), atol=1e-4)

"""Pictures of what a resizer does, alone and during a training."""
import math
from io import BytesIO
from pathlib import Path

import dsnet_mm
from dsnet_mm import GuidedUpsampling
from dsnet_mm.config import RESIZER, load_config
from dsnet_mm.visualization import (
    DownsizeVisualizationHook,
    coefficient_maps,
    image_to_rgb,
    map_to_rgb,
    upsampling_maps,
)
from dsnet_mm.visualization.maps import tile_detail

import cv2
import make_dataset as tool
import numpy as np
import pytest
import torch
from mmengine.runner import Runner

IMAGES = torch.rand(2, 3, 17, 22, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize('kind', [dsnet_mm.DownsizeNet, dsnet_mm.DownsizeNetV2])
def test_maps_agree_with_loops(kind):
    net, size = kind(), (6, 9)
    torch.nn.init.normal_(net.logits.weight, std=10)
    maps = coefficient_maps(net, IMAGES, size)
    coefficients = net.coefficients(IMAGES, size).tolist()
    prior = net.prior(IMAGES, size).tolist()
    assert {name: values.shape for name, values in maps.items()} == dict.fromkeys(
        ('argmax', 'entropy', 'distance'), (2, *size))
    assert not any(values.requires_grad for values in maps.values())
    for n, y, x in np.ndindex(2, *size):
        weights = [plane[y][x] for plane in coefficients[n]]
        reference = [plane[y][x] for plane in prior]
        entropy = -sum(w * math.log(w) for w in weights if w > 0) / math.log(len(weights))
        distance = sum(abs(w - r) for w, r in zip(weights, reference)) / 2
        assert maps['argmax'][n, y, x] == weights.index(max(weights))
        assert math.isclose(maps['entropy'][n, y, x], entropy, abs_tol=1e-5)
        assert math.isclose(maps['distance'][n, y, x], distance, abs_tol=1e-5)
    assert maps['distance'].max() > 0.1


def test_an_untrained_network_is_no_distance_from_its_prior():
    for net in (dsnet_mm.DownsizeNet(), dsnet_mm.DownsizeNetV2(),
                dsnet_mm.DownsizeNetV2(prior='antialias')):
        maps = coefficient_maps(net, IMAGES, (7, 5))
        assert maps['distance'].max() < 1e-6


def test_entropy_of_bilinear_weights():
    images = IMAGES[..., :12, :18]
    net = dsnet_mm.DownsizeNet()
    halved, third, both = (coefficient_maps(net, images, size)['entropy']
                           for size in ((6, 9), (4, 6), (6, 6)))
    torch.testing.assert_close(halved, torch.ones(2, 6, 9))  # the mean of four
    torch.testing.assert_close(third, torch.zeros(2, 4, 6))  # the middle of nine
    torch.testing.assert_close(both, torch.full((2, 6, 6), 0.5))  # the mean of two


def test_a_network_that_copies_one_neighbour():
    net = dsnet_mm.DownsizeNet(bilinear_prior=False)
    torch.nn.init.zeros_(net.logits.weight)
    net.logits.bias.data = torch.tensor([0., 0., 100., 0.])
    maps = coefficient_maps(net, IMAGES[..., :12, :18], (6, 9))
    assert (maps['argmax'] == 2).all()
    torch.testing.assert_close(maps['entropy'], torch.zeros(2, 6, 9))
    torch.testing.assert_close(maps['distance'], torch.full((2, 6, 9), 0.75))


def test_images_become_rgb_bytes():
    image = torch.tensor([-3., 1.6, 300.])[:, None, None].expand(3, 2, 4)
    bgr, rgb = image_to_rgb(image), image_to_rgb(image, 'rgb')
    assert bgr.shape == (2, 4, 3) and bgr.dtype == np.uint8
    assert bgr[0, 0].tolist() == [255, 2, 0] and rgb[0, 0].tolist() == [0, 2, 255]
    assert image_to_rgb(image[1:2])[1, 3].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r'\(4, 2, 2\)'):
        image_to_rgb(torch.zeros(4, 2, 2))


def test_maps_become_rgb_bytes():
    colors = map_to_rgb(torch.tensor([[0, 1, 2], [3, 4, 5]]), 'gray', 4)
    assert colors.dtype == np.uint8
    assert colors.tolist() == [[[v] * 3 for v in row] for row in ([0, 64, 128], [192, 255, 255])]
    centred = map_to_rgb(torch.tensor([[-3., 0, 9]]), 'gray', 2, -2)
    assert centred[0, :, 0].tolist() == [0, 128, 255]


def test_detail_maps_side_by_side():
    detail = torch.arange(9)[:, None, None] + torch.zeros(9, 2, 3)
    tiled = tile_detail(detail)
    assert tiled.shape == (4, 24)
    assert tiled[1, ::3].tolist() == list(range(8)) and tiled[3, :3].tolist() == [8, 8, 8]
    assert tile_detail(detail[:4]).shape == (2, 12)


@pytest.mark.parametrize('kwargs', [
    dict(interval=0), dict(interval=1.5), dict(num_images=0), dict(channel_order='hsv')])
def test_wrong_settings_of_the_hook(kwargs):
    [(name, value)] = kwargs.items()
    with pytest.raises(ValueError, match=f'{name} must be .*{value!r}'):
        DownsizeVisualizationHook(**kwargs)


@pytest.fixture(scope='module')
def textures(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'textures'
    tool.make_dataset(root, 8, 4, seed=0)
    return root


EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1)


def make_runner(root: Path, folder: Path, hook: dict | None, loop: dict = EPOCHS,
                **options) -> Runner:
    cfg = load_config('configs/mini/textures/centernet_textures.py', {
        'data_root': str(root), 'model.data_preprocessor.target_size': (64, 64),
        'val_dataloader.batch_size': 3, 'param_scheduler': None,
        'default_hooks.checkpoint.interval': 10**6,
        'visualizer.name': str(folder),  # or mmengine takes that of the last runner
        **options})
    cfg.work_dir, cfg.train_cfg = str(folder), loop
    if hook is not None:
        cfg.custom_hooks = [dict(type='dsnet_mm.DownsizeVisualizationHook', **hook)]
    return Runner.from_cfg(cfg)


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: cv2.imread(str(path)) for path in folder.glob('*/vis_data/vis_image/*')}


@pytest.mark.parametrize('resizer', ['DownsizeNet', 'DownsizeNetV2', 'TalebiMilanfarResizer'])
def test_the_hook_shows_pictures_and_changes_nothing(resizer, textures, tmp_path):
    """The last resizer has batch normalisation; validation comes between the epochs."""
    weights, random = [], []
    for name, hook in (('without', None), ('with', dict(interval=2, num_images=4))):
        runner = make_runner(textures, tmp_path / name, hook,
                             **{'model.data_preprocessor.resizer.type': resizer})
        runner.train()
        weights.append(runner.model.state_dict())
        random.append((torch.get_rng_state().tolist(), np.random.random()))
    before, after = weights
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert random[0] == random[1]

    assert not pictures(tmp_path / 'without')
    shown = pictures(tmp_path / 'with')
    kinds = ['small']
    if resizer.startswith('DownsizeNet'):
        kinds += ['argmax', 'entropy', 'distance']
    # The first epoch and the one two later; four images from two batches.
    assert set(shown) == {f'resizer_{i}_{kind}_{epoch}'
                          for i in range(4) for kind in kinds for epoch in (1, 3)}
    assert {picture.shape for picture in shown.values()} == {(64, 64, 3)}

    # The last epoch's resized image is what the model trained so far sees, in its true colours.
    files = sorted((textures / 'ImageSets/Main/val.txt').read_text().split())
    for index, name in enumerate(files):
        image = cv2.resize(cv2.imread(f'{textures}/JPEGImages/{name}.jpg'), (300, 300))
        inputs = torch.from_numpy(image).permute(2, 0, 1)
        with torch.no_grad():
            [small] = runner.model.data_preprocessor.resize([inputs])
        expected = small.permute(1, 2, 0).numpy()
        assert abs(shown[f'resizer_{index}_small_3'] - expected).max() <= 0.51


def test_the_hook_shows_detail_maps(textures, tmp_path):
    cfg = load_config('configs/mini/textures/centernet_textures.py')
    runner = make_runner(textures, tmp_path, {}, dict(EPOCHS, max_epochs=1), **{
        RESIZER: dict(type='DownsizeNetV2', detail_channels=3),
        'model.backbone.type': 'dsnet_mm.DetailBackbone', 'model.backbone.detail_channels': 3,
        'model.backbone.backbone': cfg.model.backbone.type})
    runner.train()
    shown = pictures(tmp_path)['resizer_0_detail_1']
    assert shown.shape == (64, 3 * 64, 3)
    # The colours are those of the maps that the model reads.
    name = sorted((textures / 'ImageSets/Main/val.txt').read_text().split())[0]
    image = cv2.resize(cv2.imread(f'{textures}/JPEGImages/{name}.jpg'), (300, 300))
    with torch.no_grad():
        _, [detail] = runner.model.data_preprocessor.resize_with_detail(
            [torch.from_numpy(image).permute(2, 0, 1)])
    for index, values in enumerate(detail):
        expected = map_to_rgb(values, 'coolwarm', 3, -3)[..., ::-1]
        assert (shown[:, 64 * index:64 * (index + 1)] == expected).all()


def test_tensorboard_gets_the_same_pictures(textures, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    image_module = pytest.importorskip('PIL.Image')
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    runner = make_runner(textures, tmp_path, {}, dict(EPOCHS, max_epochs=1),
                         **{'visualizer.vis_backends': backends})
    runner.train()
    [file] = tmp_path.rglob('events.out.tfevents*')
    events = EventAccumulator(str(file), size_guidance={'images': 0}).Reload()
    shown = pictures(tmp_path)
    assert {f'{tag}_1' for tag in events.Tags()['images']} == set(shown) != set()
    for tag in events.Tags()['images']:
        [event] = events.Images(tag)
        assert event.step == 1
        rgb = np.asarray(image_module.open(BytesIO(event.encoded_image_string)))
        assert (rgb[..., ::-1] == shown[f'{tag}_1']).all()


def test_iterations(textures, tmp_path):
    make_runner(textures, tmp_path, dict(by_epoch=False, interval=2), ITERATIONS).train()
    assert {name.rsplit('_', 1)[1] for name in pictures(tmp_path)} == {'1', '3'}


def test_a_training_without_epochs_is_refused(textures, tmp_path):
    runner = make_runner(textures, tmp_path, {}, ITERATIONS)
    with pytest.raises(ValueError, match='by_epoch=False'):
        runner.train()


def test_a_model_without_a_resizer_is_refused(textures, tmp_path):
    runner = make_runner(textures, tmp_path, {})
    runner.model.data_preprocessor = torch.nn.Identity()
    with pytest.raises(ValueError, match='is an? Identity: set its type'):
        runner.train()


def test_maps_of_guided_upsampling():
    net, images = GuidedUpsampling(), 255 * torch.rand(2, 3, 12, 20)
    maps = upsampling_maps(net, images, (4, 5))
    assert all(values.shape == (2, 12, 20) for values in maps.values())
    assert maps['distance'].max() < 1e-5
    # The largest coefficient of an output pixel in the middle of a low-resolution one is of that;
    # at ratio 3 it is every third row.
    assert (maps['argmax'][:, 1::3] // 3 == 1).all()
    with torch.no_grad():
        net.logits.bias[8] = 30
    maps = upsampling_maps(net, images, (4, 5))
    assert (maps['argmax'] == 8).all() and maps['entropy'].max() < 1e-5
    prior = net.prior(torch.rand(2, 1, 4, 5), images)
    torch.testing.assert_close(maps['distance'], (1 - prior[8]).expand(2, -1, -1))

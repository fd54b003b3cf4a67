"""dsnet-mm publish: a model's resizer as a file of its own."""
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2, GuidedUpsampling
from dsnet_mm.cli import publish
from dsnet_mm.config import build_model, load_config
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import MULLER

import pytest
import torch

CONFIG = 'configs/mini/textures/centernet_textures.py'
KEY = 'model.data_preprocessor.resizer'
GUIDED, UPSAMPLING = 'configs/mini/drive/unet-guided_drive.py', 'model.decode_head.upsampling'
TOOL = 'dsnet-mm publish'


@pytest.fixture(scope='module')
def model():
    model = build_model(load_config(CONFIG, {f'{KEY}.num_convs': 3}))
    for parameter in model.data_preprocessor.resizer.parameters():
        torch.nn.init.normal_(parameter)
    return model


@pytest.fixture(scope='module')
def checkpoint(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('trained') / 'epoch_7.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def test_it_is_the_models_resizer(run_tool, model, checkpoint, tmp_path):
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    assert str(first) in run_tool(
        TOOL, CONFIG, checkpoint, first, '--cfg-options', f'{KEY}.num_convs=3')
    trained = model.data_preprocessor.resizer
    net = DownsizeNet.from_pretrained(first)
    for mine, theirs in zip(net.parameters(), trained.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    images = 255 * torch.rand(2, 3, 30, 40)
    assert torch.equal(net(images, (13, 17)), trained(images, (13, 17)))
    # A training that started from such a file: its arguments come from there.
    run_tool(TOOL, CONFIG, checkpoint, second, '--cfg-options', f'{KEY}.weights={first}')
    assert first.read_bytes() == second.read_bytes()


def test_a_second_version(run_tool, tmp_path):
    options = [f'{KEY}.type=DownsizeNetV2', f'{KEY}.channels=4', f'{KEY}.prior=antialias']
    trained = DownsizeNetV2(channels=4, prior='antialias')
    torch.nn.init.normal_(trained.logits.weight)
    torch.save({f'data_preprocessor.resizer.{key}': value
                for key, value in trained.state_dict().items()}, tmp_path / 'model.pth')
    file = tmp_path / 'trained.safetensors'
    run_tool(TOOL, CONFIG, tmp_path / 'model.pth', file, '--cfg-options', *options)
    images = 255 * torch.rand(2, 3, 30, 40)
    expected = trained(images, (13, 17))
    for net in (DownsizeNetV2.from_pretrained(file), build_resizer(dict(weights=str(file)))):
        assert isinstance(net, DownsizeNetV2) and torch.equal(net(images, (13, 17)), expected)


@pytest.fixture(scope='module')
def guided(tmp_path_factory) -> tuple[GuidedUpsampling, Path]:
    """A trained upsampling, and the checkpoint of a model with it."""
    trained = GuidedUpsampling(channels=4, density=3)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp('guided') / 'model.pth'
    torch.save({f'decode_head.upsampling.{key}': value
                for key, value in trained.state_dict().items()}, path)
    return trained, path


def test_guided_upsampling(run_tool, guided, tmp_path):
    (trained, checkpoint), file = guided, tmp_path / 'up.safetensors'
    run_tool(TOOL, GUIDED, checkpoint, file, '--upsampling', '--cfg-options',
             f'{UPSAMPLING}.channels=4', f'{UPSAMPLING}.density=3')
    small, images = torch.rand(1, 2, 6, 8), 255 * torch.rand(1, 3, 30, 40)
    expected = trained(small, images)
    head = build_model(load_config(GUIDED, {f'{UPSAMPLING}.weights': str(file)})).decode_head
    head.init_weights()
    loaded = GuidedUpsampling(channels=4, density=3, weights=file)
    for net in (GuidedUpsampling.from_pretrained(file), loaded, head.upsampling):
        assert torch.equal(net(small, images), expected)
    for wrong in (lambda: DownsizeNet.from_pretrained(file),
                  lambda: build_resizer(dict(type='DownsizeNet', weights=str(file)))):
        with pytest.raises(ValueError, match='are of a GuidedUpsampling'):
            wrong()
    with pytest.raises(ValueError, match='are of a DownsizeNet: use DownsizeNet.from_pretrained'):
        GuidedUpsampling.from_pretrained('camvid-deeplabv3plus')
    with pytest.raises(ValueError, match='channels=4, density=3.* which is another network'):
        GuidedUpsampling(weights=file)


@pytest.mark.parametrize('config, options, message', [
    (GUIDED, (), "does not hold the config's upsampling, {}: set model.decode_head.upsampling as"),
    ('configs/mini/drive/unet_drive.py', (), 'unet_drive.py has no guided head'),
    (GUIDED, ('--cfg-options', 'model.decode_head.guided=False'), 'has no guided head'),
    (CONFIG, (), 'has no guided head'),
])
def test_no_guided_upsampling(config, options, message, guided, tmp_path):
    with pytest.raises(SystemExit, match=message):
        publish.main([config, str(guided[1]), str(tmp_path / 'x.safetensors'), '--upsampling',
                      *options])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('options, out, message', [
    ((), 'x.safetensors', "epoch_7.pth does not hold the config's resizer"),
    ((f'{KEY}.num_convs=3', ), 'x.pth', 'a trained resizer is a .safetensors file, got'),
])
def test_what_it_refuses(options, out, message, checkpoint, tmp_path, capsys):
    options = ('--cfg-options', *options) if options else ()
    with pytest.raises(SystemExit) as error:
        publish.main([CONFIG, str(checkpoint), str(tmp_path / out), *options])
    assert message in str(error.value) + capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_network_is_not_published(tmp_path):
    net = MULLER()
    torch.save({f'data_preprocessor.resizer.{key}': value
                for key, value in net.state_dict().items()}, tmp_path / 'model.pth')
    with pytest.raises(SystemExit, match='has a MULLER: only a DownsizeNet or '):
        publish.main([CONFIG, str(tmp_path / 'model.pth'), str(tmp_path / 'x.safetensors'),
                      '--cfg-options', f'{KEY}.type=MULLER'])
    assert not (tmp_path / 'x.safetensors').exists()

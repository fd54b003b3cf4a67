"""Trained resizers as files."""
import json
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2
from dsnet_mm.models.data_preprocessors.det import DownsizeDetDataPreprocessor
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import ConvexResizer, pretrained

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OPTIONS: dict[type[ConvexResizer], dict] = {
    DownsizeNet: dict(num_convs=3, channels=4, activation='sigmoid'),
    DownsizeNetV2: dict(channels=4, prior='antialias')}


@pytest.fixture(params=OPTIONS, ids=lambda kind: kind.__name__)
def trained(request) -> ConvexResizer:
    net = request.param(**OPTIONS[request.param])
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


@pytest.fixture
def file(trained, tmp_path) -> Path:
    path = tmp_path / 'trained.safetensors'
    path.write_bytes(pretrained.to_bytes(trained, OPTIONS[type(trained)]))
    return path


def same(net: torch.nn.Module, other: torch.nn.Module) -> bool:
    state, expected = net.state_dict(), other.state_dict()
    return state.keys() == expected.keys() and all(
        torch.equal(value, expected[key]) for key, value in state.items())


def test_a_file_holds_the_network_and_its_arguments(file, trained, tmp_path):
    kind = type(trained)
    config, state = pretrained.read(file)
    assert config == {'type': kind.__name__, **OPTIONS[kind]}
    assert state.keys() == trained.state_dict().keys()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    for net in (kind.from_pretrained(file), ConvexResizer.from_pretrained(file)):
        assert type(net) is kind and same(net, trained)


def test_other_arguments_are_given_with_the_file(tmp_path):
    file = tmp_path / 'trained.safetensors'
    options = dict(activation='sigmoid')
    file.write_bytes(pretrained.to_bytes(DownsizeNet(**options), options))
    net = DownsizeNet.from_pretrained(file, with_cp=True)
    assert net.activation == 'sigmoid' and net.with_cp


def test_a_config_takes_the_arguments_from_the_file(file, trained):
    kind = type(trained)
    net = build_resizer(dict(weights=str(file)))
    images = 255 * torch.rand(2, 3, 20, 30)
    assert type(net) is kind and torch.equal(net(images, (7, 11)), trained(images, (7, 11)))
    with pytest.raises(ValueError, match=f'are of {kind.__name__}\\(.*channels=4.*another network'):
        build_resizer(dict(weights=str(file), channels=8))


def test_a_file_of_another_kind(file, trained):
    kind = type(trained)
    [other] = OPTIONS.keys() - {kind}
    with pytest.raises(ValueError, match=f'are of a {kind.__name__}: use {kind.__name__}.from_'):
        other.from_pretrained(file)
    with pytest.raises(ValueError, match=f'are of {kind.__name__}\\(.*another network'):
        other(weights=file)
    for same in (kind, f'dsnet_mm.resizers.{kind.__name__}'):
        assert type(build_resizer(dict(type=same, weights=str(file)))) is kind
    for name in (other, other.__name__, f'dsnet_mm.{other.__name__}',
                 f'dsnet_mm.resizers.{other.__name__}'):
        with pytest.raises(ValueError, match=f'of a {kind.__name__}, not of a {other.__name__}: '):
            build_resizer(dict(type=name, weights=str(file)))


@pytest.mark.parametrize('window', [4, 'auto'])
def test_weights_of_a_larger_window_are_refused(window, tmp_path):
    net, path = DownsizeNet(), tmp_path / 'old.safetensors'
    net.logits = torch.nn.Conv2d(32, 16, 1)
    path.write_bytes(pretrained.to_bytes(net, dict(window=window)))
    remedy = 'DownsizeNetV2 .*commit 9598a05'
    for build in (DownsizeNet.from_pretrained, lambda file: build_resizer(dict(weights=file))):
        with pytest.raises(ValueError, match=f'window must be 2, got {window!r}: .*{remedy}'):
            build(path)
    with pytest.raises(ValueError, match=f'{path} *.*is for 16 neighbours.*{remedy}'):
        DownsizeNet(weights=path)


def test_resetting_and_initialising_keep_the_weights(file, trained):
    net = ConvexResizer.from_pretrained(file)
    torch.nn.init.zeros_(net.logits.weight)
    net.reset_parameters()
    assert same(net, trained)
    preprocessor = DownsizeDetDataPreprocessor(
        scale=0.5, resizer=dict(type=type(trained).__name__, weights=str(file)))
    preprocessor.init_weights()
    assert same(preprocessor.resizer, trained)


@pytest.mark.parametrize('name', pretrained.names())
def test_what_comes_with_the_package(name):
    """A trained network: no longer bilinear interpolation, and an image nevertheless."""
    net = ConvexResizer.from_pretrained(name)
    images = 255 * torch.rand(1, 3, 40, 60)
    resized, bilinear = net(images, (13, 17)), F.interpolate(images, (13, 17), mode='bilinear')
    assert not torch.allclose(resized, bilinear, atol=0.01)
    assert 0 <= resized.min() and resized.max() <= 255


def test_the_card_describes_each():
    card = (pretrained.FOLDER / 'README.md').read_text()
    assert len(pretrained.names()) == 3
    for name in pretrained.names():
        assert f'## {name}\n' in card


def test_a_name_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trained resizer 'camvid'.*"
                                                'bccd-refinedet, camvid-deeplabv3plus, drive-unet'):
        DownsizeNet(weights='camvid')
    with pytest.raises(FileNotFoundError, match='gone.safetensors'):
        pretrained.read(tmp_path / 'gone.safetensors')


def test_a_checkpoint_of_a_model():
    with pytest.raises(ValueError,
                       match='epoch_1.pth is a checkpoint .*dsnet-mm publish.*init_cfg'):
        DownsizeNet(weights='work_dirs/epoch_1.pth')


def test_broken_and_foreign_files(file):
    whole = file.read_bytes()
    for content in (b'', b'PK\3\4', whole[:-1], whole[:100]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match='trained.safetensors is broken or not a trained'):
            pretrained.read(file)
    for metadata in (None, {'format': 'pt'}, {'dsnet_mm': 'no json'}):
        save_file({'weight': torch.zeros(1)}, file, metadata)
        with pytest.raises(ValueError, match='trained.safetensors is broken or not a trained'):
            pretrained.read(file)
    save_file({'weight': torch.zeros(1)}, file, {'dsnet_mm': json.dumps({})})
    with pytest.raises(ValueError, match='another network'):
        DownsizeNet.from_pretrained(file)

"""The second first convolution: the plain backbone at its start, in its place, and learning."""
import copy
import pickle

import dsnet_mm  # noqa: F401  (before anything imports mmcv.ops)
from dsnet_mm.models.backbones.detail import DetailConv2d, SecondConvolution, read_detail

import mmdet.models  # noqa: F401
import mmseg.models  # noqa: F401
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

BN = dict(norm_cfg=dict(type='BN'))
BACKBONES = [
    ('mmdet', dict(type='ResNet', depth=18)),
    ('mmdet', dict(type='ResNet', depth=18, deep_stem=True)),
    ('mmdet', dict(type='MobileNetV2', widen_factor=0.25)),
    ('mmdet', dict(type='SSDVGG', depth=11, out_feature_indices=(3, 10))),
    ('mmdet', dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125)),
    ('mmdet', dict(type='CSPNeXt', deepen_factor=0.17, widen_factor=0.125)),
    ('mmdet', dict(type='SwinTransformer', embed_dims=24, depths=(1, 1, 1, 1),
                   num_heads=(1, 2, 4, 8))),
    ('mmdet', dict(type='Darknet', depth=53)),
    ('mmseg', dict(type='ResNetV1c', depth=18, **BN)),
    ('mmseg', dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1])),
    ('mmseg', dict(type='VisionTransformer', img_size=64, embed_dims=24, num_layers=2,
                   num_heads=2, out_indices=1)),
    ('mmseg', dict(type='UNet', base_channels=4, **BN)),
    ('mmseg', dict(type='MobileNetV3', arch='small', **BN)),
    ('mmseg', dict(type='BiSeNetV2', **BN)),
    ('mmseg', dict(type='PIDNet', channels=8, ppm_channels=8, **BN)),
]
NAMES = [f'{kw["type"]}-{i}' for i, (_, kw) in enumerate(BACKBONES)]


def build(scope: str, config: dict, detail: bool = True) -> nn.Module:
    torch.manual_seed(0)
    if detail:
        config = {**config, 'type': 'dsnet_mm.DetailBackbone', 'backbone': config['type']}
    with DefaultScope.overwrite_default_scope(scope):
        net = MODELS.build(config)
        net.init_weights()
    return net


def tensors(value: object) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [t for each in value for t in tensors(each)]


def run(net: nn.Module, inputs: Tensor) -> list[Tensor]:
    net.eval()
    with torch.no_grad():
        return tensors(net(inputs))


@pytest.mark.parametrize('scope, config', BACKBONES, ids=NAMES)
def test_at_the_start_it_is_the_plain_backbone_to_the_bit(scope, config):
    plain, ours = build(scope, config, detail=False), build(scope, config)
    image, maps = torch.rand(2, 3, 64, 64), torch.rand(2, 8, 64, 64)
    expected = run(plain, image)
    for inputs in (image, torch.cat([image, maps], dim=1)):
        found = run(ours, inputs)
        assert len(found) == len(expected)
        assert all(torch.equal(*pair) for pair in zip(found, expected))
    own, kept = ours.state_dict(), plain.state_dict()
    assert own.keys() - kept.keys() == {key for key in own if key.endswith('.detail.weight')}
    assert not kept.keys() - own.keys()
    missing, unexpected = ours.load_state_dict(kept, strict=False)
    assert set(missing) == own.keys() - kept.keys() and not unexpected


@pytest.mark.parametrize('scope, config', BACKBONES, ids=NAMES)
def test_detail_maps_reach_the_features_and_get_gradients(scope, config):
    net = build(scope, config).train()
    inputs = torch.cat([torch.rand(2, 3, 64, 64), torch.rand(2, 8, 64, 64)], dim=1)
    seconds = [module for module in net.modules() if isinstance(module, SecondConvolution)]
    sum(out.square().sum() for out in tensors(net(inputs))).backward()
    assert seconds and all(module.weight.grad.abs().max() > 0 for module in seconds)
    before = run(net, inputs)
    for module in seconds:
        nn.init.normal_(module.weight)
    assert not all(torch.equal(*pair) for pair in zip(run(net, inputs), before))


@pytest.mark.parametrize('model', [resnet18, mobilenet_v3_small])
def test_torchvisions_models(model):
    net = model(weights=None)
    image = torch.rand(1, 3, 64, 64)
    [expected] = run(net, image)
    read_detail(net, 4)
    assert torch.equal(run(net, torch.cat([image, torch.rand(1, 4, 64, 64)], dim=1))[0], expected)


@pytest.mark.parametrize('kernel, stride, padding, second', [
    (7, 2, 3, (3, 1)), (3, 2, 1, (3, 1)), (3, 1, 1, (3, 1)), (4, 4, 0, (4, 0)), (6, 2, 2, (6, 2)),
    (7, 4, 3, (7, 3)), (1, 1, 0, (1, 0)), (5, 1, 0, (5, 0))])
def test_the_second_convolution_lies_where_the_first_one_does(kernel, stride, padding, second):
    """A first and a second one with a single tap in their middles see the same pixel."""
    conv = nn.Conv2d(3, 1, kernel, stride, padding, bias=False)
    net = read_detail(nn.Sequential(conv), 1, size=24)
    assert conv.detail.weight.shape[2:] == (second[0], second[0])
    assert conv.detail.padding == (second[1], second[1])
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[:, 0, (kernel - 1) // 2, (kernel - 1) // 2] = 1
        conv.detail.weight[:, 0, (second[0] - 1) // 2, (second[0] - 1) // 2] = 1
    image = torch.rand(1, 1, 23, 25)
    nothing = torch.zeros(1, 1, 23, 25)
    [seen] = run(net, torch.cat([image, nothing, nothing, nothing], dim=1))
    [detail] = run(net, torch.cat([nothing, nothing, nothing, image], dim=1))
    assert torch.equal(seen, detail) and seen.abs().max() > 0


def test_the_sum_of_two_convolutions_by_hand():
    conv = nn.Conv2d(3, 5, 3, 2, 1).double()
    DetailConv2d.of(conv, 2, 3)
    nn.init.normal_(conv.detail.weight)
    inputs = torch.rand(2, 5, 9, 8).double()
    expected = F.conv2d(inputs[:, :3], conv.weight, conv.bias, 2, 1) + F.conv2d(
        inputs[:, 3:], conv.detail.weight, None, 2, 1)
    torch.testing.assert_close(conv(inputs), expected)
    assert torch.autograd.gradcheck(
        lambda inputs, weight: torch.func.functional_call(conv, {'detail.weight': weight}, inputs),
        (inputs.requires_grad_(), conv.detail.weight.detach().requires_grad_()))


def test_a_focus_stem_keeps_image_and_detail_apart():
    """YOLOX's stem puts the pixels of 2x2 cells side by side, the maps among them."""
    net = build('mmdet', BACKBONES[4][1])
    [conv] = [module for module in net.modules() if isinstance(module, DetailConv2d)]
    seen = []
    conv.detail.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    maps = torch.arange(8.)[:, None, None].expand(1, 8, 64, 64)
    run(net, torch.cat([torch.full((1, 3, 64, 64), -1.), maps], dim=1))
    assert torch.equal(seen[0][0, :, 0, 0], torch.arange(8.).repeat(4))


@pytest.mark.parametrize('config', [
    dict(type='ResNet', depth=18, frozen_stages=1),
    dict(type='ResNet', depth=18, frozen_stages=1, deep_stem=True),
    dict(type='MobileNetV2', frozen_stages=2, widen_factor=0.25),
    dict(type='SwinTransformer', frozen_stages=1, embed_dims=24, depths=(1, 1, 1, 1),
         num_heads=(1, 2, 4, 8))], ids=lambda config: config['type'])
def test_frozen_stages_do_not_freeze_it(config):
    net = build('mmdet', config)
    net.train()
    learn = {name for name, value in net.named_parameters() if value.requires_grad}
    [detail] = [name for name in learn if 'detail' in name]
    assert detail.removesuffix('detail.weight') + 'weight' not in learn
    net.requires_grad_(False)
    assert not any(value.requires_grad for value in net.train().parameters())
    copy.deepcopy(net).train()


def test_what_initialises_convolutions_leaves_it_at_zero():
    for scope, config in BACKBONES:
        net = build(scope, config)
        assert all(not value.any() for name, value in net.state_dict().items()
                   if name.endswith('detail.weight'))


def test_another_number_of_maps_is_refused():
    net = build('mmdet', BACKBONES[0][1])
    with pytest.raises(ValueError, match='reads 8 detail maps, but gets 4: give .* the same'):
        net(torch.rand(1, 7, 64, 64))


def test_missing_maps_are_refused_once_it_reads_them():
    net = build('mmdet', BACKBONES[0][1]).eval()
    image = torch.rand(1, 3, 64, 64)
    net(image)
    nn.init.normal_(net.conv1.detail.weight)
    with pytest.raises(ValueError, match="gets images without any: set the resizer's detail_chan"):
        net(image)


@pytest.mark.parametrize('scope, config', [BACKBONES[0], BACKBONES[2], BACKBONES[11]],
                         ids=['ResNet', 'MobileNetV2', 'UNet'])
def test_normalisation_cannot_be_fused(scope, config):
    """It would scale the first convolution, but not the second one."""
    with pytest.raises(RuntimeError, match='leave out --fuse-conv-bn'):
        fuse_conv_bn(build(scope, config).eval())
    plain = build(scope, config, detail=False)
    plain.eval()
    fuse_conv_bn(plain)


@pytest.mark.parametrize('scope, config', BACKBONES, ids=NAMES)
def test_it_can_be_pickled_and_copied(scope, config):
    net = build(scope, config)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.05)
    inputs = torch.rand(1, 11, 64, 64)
    expected = run(net, inputs)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert type(other).__name__ == type(net).__name__
        assert all(torch.equal(*pair) for pair in zip(run(other, inputs), expected))


@pytest.mark.parametrize('config, channels, size', [
    (dict(type='ResNet', depth=18, in_channels=4), 4, (64, 64)),
    (dict(type='UNet', base_channels=4, in_channels=1, **BN), 1, (64, 64)),
    (dict(type='BEiT', embed_dims=24, num_layers=2, num_heads=2, out_indices=1, img_size=(64, 96)),
     3, (64, 96)),
    (dict(type='MAE', embed_dims=24, num_layers=2, num_heads=2, out_indices=1), 3, (224, 224))],
    ids=lambda value: value.get('type') if isinstance(value, dict) else None)
def test_other_channels_and_sizes(config, channels, size):
    plain, ours = build('mmseg', config, detail=False), build('mmseg', config)
    image = torch.rand(1, channels, *size)
    found = run(ours, torch.cat([image, torch.rand(1, 8, *size)], dim=1))
    assert all(torch.equal(*pair) for pair in zip(found, run(plain, image)))


@pytest.mark.parametrize('net, message', [
    (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3)), 'stems that mix the channels'),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(7, 2)), 'it fails on an image'),
    (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 'the first layer that sees the image'),
    (nn.Sequential(nn.Flatten(), nn.Linear(3 * 128 * 128, 4)), 'first layer .* is Linear'),
    (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3)), 'not a convolution of its channels'),
    (nn.Sequential(nn.ReLU6(), nn.Sigmoid(), nn.Conv2d(3, 4, 3)), 'no layer sees the image as it')])
def test_what_cannot_read_detail_is_refused_with_the_reason(net, message):
    with pytest.raises(ValueError, match=f'cannot read detail maps: .*{message}'):
        read_detail(net, 8)


@pytest.mark.parametrize('config', [dict(type='ERFNet', **BN), dict(type='CGNet', **BN)],
                         ids=lambda config: config['type'])
def test_backbones_that_take_the_image_in_other_places_are_refused(config):
    with pytest.raises(ValueError, match='cannot read detail maps: a further layer takes the'):
        build('mmseg', config)

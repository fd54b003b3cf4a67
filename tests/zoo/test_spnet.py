"""SPNet against the paper's figures and against naive loops."""
from dsnet_mm.zoo.spnet import MixedPooling, SPNetHead, SPNetResNet, StripPooling, Strips

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

BN = dict(type='BN')
DILATED = dict(
    strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), multi_grid=(4, 8, 16), contract_dilation=True)
SMALL = dict(stem_channels=8, base_channels=4, **DILATED)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def shake(module: nn.Module) -> nn.Module:
    """The module at evaluation, with no parameter or statistic where it does nothing."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.1, 0.5).mul_(torch.randint(0, 2, tensor.shape) * 2 - 1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.abs_()
    return module.eval()


def conv_line(x: Tensor, layer: ConvModule) -> Tensor:
    """Convolution (three taps, zeros around) and norm of a line (C, length), one value a time."""
    weight = layer.conv.weight.flatten(2)
    out = torch.zeros(len(weight), x.shape[1])
    for o in range(len(weight)):
        for i in range(x.shape[1]):
            for k in range(3):
                if 0 <= i + k - 1 < x.shape[1]:
                    out[o, i] += weight[o, :, k] @ x[:, i + k - 1]
    norm = layer.norm
    out = (out.T - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    return (out * norm.weight + norm.bias).T


def naive_strips(x: Tensor, strips: Strips) -> Tensor:
    """Strips of one image (C, H, W) by loops."""
    channels, height, width = x.shape
    rows = conv_line(torch.stack([x[:, i].sum(1) / width for i in range(height)], 1), strips.rows)
    columns = conv_line(
        torch.stack([x[:, :, j].sum(1) / height for j in range(width)], 1), strips.columns)
    out = torch.empty(channels, height, width)
    for i in range(height):
        for j in range(width):
            out[:, i, j] = (rows[:, i] + columns[:, j]).clamp(min=0)
    return out


def naive_pool(x: Tensor, size: int) -> Tensor:
    """Adaptive average pooling of one image (C, H, W) by loops."""
    channels, height, width = x.shape
    out = torch.empty(channels, size, size)
    for i in range(size):
        for j in range(size):
            window = x[:, i * height // size:-(-(i + 1) * height // size),
                       j * width // size:-(-(j + 1) * width // size)]
            out[:, i, j] = window.mean((1, 2))
    return out


def naive_enlarge(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear interpolation of one image (C, h, w) by loops, corner on corner."""
    out = torch.zeros(len(x), height, width)
    for i in range(height):
        for j in range(width):
            y, z = (i * (x.shape[1] - 1) / (height - 1), j * (x.shape[2] - 1) / (width - 1))
            for a in range(x.shape[1]):
                for b in range(x.shape[2]):
                    out[:, i, j] += x[:, a, b] * max(0, 1 - abs(y - a)) * max(0, 1 - abs(z - b))
    return out


@torch.no_grad()
def test_strip_pooling_by_loops():
    module = shake(StripPooling(4, BN))
    x = torch.randn(2, 4, 5, 7)
    result = module(x)
    for got, image in zip(result, x):
        strips = naive_strips(image, module.strips)
        weight = module.weigh.weight.flatten(1)
        for i in range(5):
            for j in range(7):
                logits = weight @ strips[:, i, j] + module.weigh.bias
                torch.testing.assert_close(got[:, i, j], image[:, i, j] / (1 + (-logits).exp()))


@torch.no_grad()
@pytest.mark.parametrize('size', [(9, 7), (4, 6)])  # the second is enlarged by its pooling
def test_mixed_pooling_by_loops(size):
    module = shake(MixedPooling(8, (5, 3), BN))
    x = torch.randn(2, 8, *size)
    result = module(x)
    for got, image in zip(result, x):
        short = module.short_in(image[None])
        total = module.local.norm(module.local.conv(short))[0]
        for pool_size, window in zip((5, 3), module.windows):
            pooled = naive_pool(short[0], pool_size)[None]
            total = total + naive_enlarge(window[1].norm(window[1].conv(pooled))[0], *size)
        short = module.short_out(total.clamp(min=0)[None])
        long = naive_strips(module.long_in(image[None])[0], module.strips)
        long = module.long_out(long[None])
        both = module.fuse.norm(module.fuse.conv(torch.cat([short, long], 1)))
        torch.testing.assert_close(got, (image + both[0]).clamp(min=0))


def test_parameters_are_the_papers():
    with torch.device('meta'):
        backbone = SPNetResNet(50, **DILATED)
        narrow_stem = SPNetResNet(50, stem_channels=64, **DILATED)
        head = SPNetHead(num_classes=19, norm_cfg=BN)
    count, narrow, in_head = (sum(p.numel() for p in module.parameters())
                              for module in (backbone, narrow_stem, head))
    assert count + in_head == 45_372_563
    assert count - narrow == 104_544


def test_strip_pooling_is_where_the_paper_has_it():
    with torch.device('meta'):
        backbone = SPNetResNet(50, **DILATED)
    modules = {name: module.weigh.in_channels for name, module in backbone.named_modules()
               if isinstance(module, StripPooling)}
    assert modules == {
        'layer1.2.strip_pooling': 64, 'layer2.3.strip_pooling': 128, 'layer3.5.strip_pooling': 256,
        'layer4.0.strip_pooling': 512, 'layer4.1.strip_pooling': 512,
        'layer4.2.strip_pooling': 512}
    assert [block.conv2.dilation for block in backbone.layer4] == [(4, 4), (8, 8), (16, 16)]

    block = SPNetResNet(50, **SMALL).layer2[-1].eval()
    nn.init.ones_(block.norm3.weight)
    seen = {}
    block.strip_pooling.register_forward_hook(
        lambda _, inputs, output: seen.update(input=inputs[0].clone(), output=output.clone()))
    x = torch.rand(1, 32, 9, 11)
    out = block(x)
    middle = F.relu(block.norm2(block.conv2(F.relu(block.norm1(block.conv1(x))))))
    torch.testing.assert_close(seen['input'], middle)
    torch.testing.assert_close(out, F.relu(x + block.norm3(block.conv3(seen['output']))))


def test_blocks_without_bottleneck_are_refused():
    with pytest.raises(KeyError, match='invalid depth 18'):
        SPNetResNet(18)


def test_frozen_stages_freeze_their_strip_pooling():
    backbone = SPNetResNet(50, frozen_stages=1, **SMALL)
    frozen = {name.split('.')[0] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {'stem', 'layer1'}
    assert not any(p.requires_grad for p in backbone.layer1.parameters())


@pytest.mark.parametrize('size', [(230, 230), (63, 101)])
def test_sizes_of_the_maps(size):
    backbone = SPNetResNet(50, **SMALL)
    head = SPNetHead(128, 16, num_classes=5, norm_cfg=BN)
    at_eighth = tuple(-(-n // 8) for n in size)
    assert head(backbone(torch.rand(1, 3, *size))).shape == (1, 5, *at_eighth)


def test_every_parameter_is_trained():
    cfg = ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='dsnet_mm.DownsizeSegDataPreProcessor', target_size=(75, 63), size_divisor=1),
        backbone=dict(type='dsnet_mm.SPNetResNet', depth=50, **SMALL),
        decode_head=dict(type='dsnet_mm.SPNetHead', in_channels=128, channels=16, num_classes=5,
                         norm_cfg=BN, align_corners=True),
        train_cfg=dict(), test_cfg=dict(mode='whole'))
    with MODELS.switch_scope_and_registry('mmseg') as registry:
        model = registry.build(cfg)
    sizes = [(90, 120), (101, 77)]
    batch = dict(inputs=[torch.randint(0, 256, (3, *size)).byte() for size in sizes],
                 data_samples=[SegDataSample(
                     metainfo=dict(img_shape=size, ori_shape=size),
                     gt_sem_seg=PixelData(data=torch.randint(0, 5, (1, *size))))
                     for size in sizes])
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-2))
    for _ in range(3):  # the resizer's last layer starts at zero and moves first, then the rest
        assert model.train_step(batch, optimizer)['decode.loss_ce'].isfinite()
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert same == set()
    with torch.no_grad():
        for i, size in enumerate(sizes):
            one = {key: values[i:i + 1] for key, values in batch.items()}
            assert model.eval().test_step(one)[0].pred_sem_seg.shape == size

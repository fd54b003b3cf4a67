"""FCN-8s against the paper's figures, torchvision's VGG, and the geometry of its maps."""
from dsnet_mm.zoo.fcn8s import FCNVGG, BilinearDeconv, FCN8sHead
from dsnet_mm.zoo.vgg import VGG

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

NARROW = (3, 32, 64, 64)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def test_parameters_and_sizes_are_the_papers():
    with torch.device('meta'):
        backbone, head = FCNVGG(), FCN8sHead(num_classes=21)
        parameters = [*backbone.parameters(), *head.parameters()]
        maps = backbone(torch.empty(1, 3, 512, 512))
        fc7 = head.fc(maps[-1])
        half = head.upsample_fc7(head.conv_seg(fc7))
        quarter = head.upsample_pool4(half)
        assert sum(p.numel() for p in parameters) == 134_489_759
        assert [m.shape[-1] for m in maps] == [512, 89, 45, 23]
        assert [m.shape[-1] for m in (fc7, half, quarter)] == [17, 36, 74]
        assert head.upsample_pool3(quarter).shape[-1] == 600
        assert head(maps).shape == (1, 21, 512, 512)


def test_maps_are_those_of_vgg_on_the_padded_image():
    backbone, vgg = FCNVGG(base_channels=8), VGG(base_channels=8)
    vgg.load_state_dict(backbone.state_dict())
    image = torch.rand(1, 3, 57, 81)
    # Padded by 99, the convolution's own padding makes 100.
    x, expected = F.pad(image, [99] * 4), [image]
    for layer in vgg.features:
        if isinstance(layer, nn.MaxPool2d):
            x = F.max_pool2d(x, 2, ceil_mode=True)
            expected.append(x)
        else:
            x = layer(x)
    result = backbone(image)
    assert len(result) == 4
    for got, want in zip(result, [expected[i] for i in (0, 3, 4, 5)]):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize('size', [(100, 100), (99, 137), (1, 1), (32, 33), (131, 64)])
@pytest.mark.parametrize('with_bn', [False, True])
def test_logits_have_the_images_size(size, with_bn):
    backbone = FCNVGG(base_channels=8, with_bn=with_bn)
    head = FCN8sHead(NARROW, 16, num_classes=5)
    assert head(backbone(torch.rand(2, 3, *size))).shape == (2, 5, *size)


@pytest.mark.parametrize('stride', [2, 8])
def test_deconvolutions_start_as_bilinear_upsampling(stride):
    x = torch.rand(2, 3, 6, 7)
    half = stride // 2
    result = BilinearDeconv(3, stride)(x)[..., half:-half, half:-half]
    expected = F.interpolate(x, scale_factor=stride, mode='bilinear', align_corners=False)
    inner = (..., slice(half, -half), slice(half, -half))
    torch.testing.assert_close(result[inner], expected[inner])


def centers(n: int, pools: int) -> Tensor:
    """Where in the image the windows of a map's first ``n`` cells are centred, in pixels."""
    # Behind the first convolution 99 pixels of padding are left.
    return 2**pools * torch.arange(n) + (2**pools - 1) / 2 - 99


@pytest.mark.parametrize('source', ['fc7', 'pool4', 'pool3'])
def test_crops_align_the_maps_with_the_image(source):
    """A score that is the place of its cell in the image arrives at that place."""
    height, width = 150, 200
    head = FCN8sHead((3, 1, 1, 1), 1, num_classes=1, out_channels=1, threshold=0.5,
                     skip_scales=(1, 1), dropout_ratio=0)
    head.fc = nn.AvgPool2d(7, 1)  # centred where fc6 is
    scores = dict(fc7=head.conv_seg, pool4=head.score_pool4, pool3=head.score_pool3)
    for name, score in scores.items():
        nn.init.constant_(score.weight, name == source)
        nn.init.zeros_(score.bias)
    maps = [torch.empty(1, 3, height, width)]
    maps += [m[:, :1] for m in FCNVGG(base_channels=8)(maps[0])[1:]]
    for i, pools in ((1, 3), (2, 4), (3, 5)):
        rows, columns = (centers(n, pools) for n in maps[i].shape[-2:])
        maps[i] = (1000 * rows[:, None] + columns).expand_as(maps[i])
    expected = 1000 * torch.arange(height)[:, None] + torch.arange(width)
    inner = slice(32, -32), slice(32, -32)  # away from where fc7 ends
    torch.testing.assert_close(
        head(maps)[0, 0][inner], expected.float()[inner], rtol=0, atol=0.1)


@pytest.mark.parametrize('source, factor', [(1, 0.0001), (2, 0.01)])
def test_skips_are_scaled(source, factor):
    head = FCN8sHead(NARROW, 16, num_classes=5).eval()
    for score in (head.conv_seg, head.score_pool4, head.score_pool3):
        nn.init.normal_(score.weight)
        nn.init.zeros_(score.bias)
    maps = [torch.zeros_like(m) for m in FCNVGG(base_channels=8)(torch.rand(1, 3, 40, 50))]
    head.fc = nn.AvgPool2d(7, 1)
    head.conv_seg = nn.Conv2d(64, 5, 1, bias=False)
    maps[source] = torch.rand_like(maps[source])
    scaled = head(maps)
    head.skip_scales = (1, 1)
    plain = head(maps)
    assert plain.abs().max() > 1
    torch.testing.assert_close(scaled, factor * plain)


def test_the_classifier_of_torchvision_loads(tmp_path):
    with torch.device('meta'):
        vgg, head = torchvision.models.vgg16(), FCN8sHead(num_classes=21)
    for name, weight in head.fc.state_dict().items():
        expected = weight.flatten(1) if weight.dim() > 1 else weight
        assert vgg.classifier.state_dict()[name].shape == expected.shape

    # The same layers, narrow.
    classifier = nn.Sequential(
        nn.Linear(64 * 7 * 7, 16), nn.ReLU(), nn.Dropout(),
        nn.Linear(16, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 1000)).eval()
    path = tmp_path / 'vgg.pth'
    torch.save(classifier.state_dict(prefix='classifier.'), path)
    head = FCN8sHead(NARROW, 16, num_classes=5, pretrained=str(path)).eval()
    head.init_weights()
    pool5 = torch.rand(2, 64, 7, 7)
    expected = classifier[:5](pool5.flatten(1))
    assert expected.std() > 0
    torch.testing.assert_close(head.fc(pool5).flatten(1), expected)
    assert not head.conv_seg.weight.any()  # the classes of ImageNet are not loaded


def test_own_weights_load_and_others_are_refused():
    head = FCN8sHead(NARROW, 16, num_classes=5)
    copy = FCN8sHead(NARROW, 16, num_classes=5)
    copy.load_state_dict(head.state_dict())
    assert torch.equal(copy.fc[0].weight, head.fc[0].weight)
    with pytest.raises(RuntimeError, match=r'size mismatch for fc\.0\.weight'):
        FCN8sHead(NARROW, 8, num_classes=5).load_state_dict(head.state_dict())


def test_weights_start_as_in_the_paper():
    head = FCN8sHead(NARROW, 16, num_classes=5)
    before = head.fc[0].weight.clone()
    head.init_weights()
    for score in (head.conv_seg, head.score_pool3, head.score_pool4):
        assert not score.weight.any() and not score.bias.any()
    assert not torch.equal(head.fc[0].weight, before)
    assert not head.fc[0].bias.any()
    assert torch.equal(head.upsample_fc7.weight, BilinearDeconv(5, 2).weight)


def test_dropout_drops_single_values_behind_both_layers():
    head = FCN8sHead(NARROW, 16, num_classes=5, dropout_ratio=0.5)
    x = torch.ones(1, 8, 50, 50)
    for dropout in (head.fc[2], head.dropout):
        assert 0.4 < dropout(x).eq(0).float().mean((2, 3)).min() < 0.6
    nn.init.constant_(head.conv_seg.weight, 1)
    seen = {head.cls_seg(torch.ones(1, 16, 1, 1)).sum().item() for _ in range(20)}
    assert len(seen) > 1


def test_every_parameter_is_trained_except_the_last_upsampling():
    cfg = ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='dsnet_mm.DownsizeSegDataPreProcessor', target_size=(51, 37), size_divisor=1),
        backbone=dict(type='dsnet_mm.FCNVGG', base_channels=8, with_bn=True),
        decode_head=dict(type='dsnet_mm.FCN8sHead', in_channels=NARROW, channels=16,
                         num_classes=5, skip_scales=(1, 1)),
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
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    for _ in range(4):  # scores and the resizer's last layer start at zero and move first
        assert model.train_step(batch, optimizer)['decode.loss_ce'].isfinite()
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert same == {'decode_head.upsample_pool3.weight'}
    assert torch.equal(model.decode_head.upsample_pool3.weight, BilinearDeconv(5, 8).weight)
    with torch.no_grad():
        for i, size in enumerate(sizes):
            one = {key: values[i:i + 1] for key, values in batch.items()}
            assert model.eval().test_step(one)[0].pred_sem_seg.shape == size

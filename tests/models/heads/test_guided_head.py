"""GuidedHead in mmseg's own segmenters: nothing is off by a pixel, whatever lies in between."""
import copy
import pickle
import weakref

from dsnet_mm import GuidedHead
from dsnet_mm.models.data_preprocessors import seg
from dsnet_mm.models.data_preprocessors.guide import Guide

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.apis import MMSegInferencer, inference_model
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

WHOLE = ConfigDict(mode='whole')
SLIDE = ConfigDict(mode='slide', crop_size=(16, 20), stride=(12, 12))
HEAD = dict(type='ImageHead', num_classes=3, in_channels=3, channels=3)
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
FCN = dict(type='FCNHead', in_channels=8, channels=8, num_convs=1, num_classes=3, dropout_ratio=0,
           concat_input=False)


@MMSEG_MODELS.register_module()
class Averages(BaseModule):
    """A backbone whose maps are the image, averaged over squares of 1, 2 or 4 pixels."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images, self.stride)]


@MMSEG_MODELS.register_module()
class Convolutions(BaseModule):

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
                                    nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(images)]


@MMSEG_MODELS.register_module()
class ImageHead(BaseDecodeHead):
    """A head whose logits are the image."""

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return inputs[0]


@MMSEG_MODELS.register_module()
class NextImageHead(BaseCascadeDecodeHead):
    """A stage whose logits are the last stage's."""

    def forward(self, inputs: list[Tensor], prev_output: Tensor) -> Tensor:
        return prev_output


@MMSEG_MODELS.register_module()
class Distance(nn.Module):
    """The greatest difference between the first logit and the labels, away from the borders."""
    loss_name = 'loss_distance'

    def forward(self, logits: Tensor, labels: Tensor, **kwargs) -> Tensor:
        assert logits.shape[2:] == labels.shape[1:]
        outside = F.pad((labels == 255).float()[:, None], 4 * [9], value=1)
        inner = F.max_pool2d(outside, 19, 1)[:, 0] == 0
        return (logits[:, 0] - labels)[inner].abs().amax()


def config(decode_head=None, type='EncoderDecoder', backbone=None, mode=WHOLE, test=None,
           init_cfg=None, model=None, **preprocessor) -> dict:
    """That of a model behind a bilinear resizer, by default with a guided head; ``test`` is how
    images are padded at test."""
    return dict(dict(
        type=type, backbone=backbone or dict(type='Averages'),
        decode_head=decode_head or guided(HEAD), test_cfg=mode, train_cfg=dict(),
        init_cfg=init_cfg, data_preprocessor=dict(dict(
            type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.35, resize_gt_sem_seg=False,
            size_divisor=1, resizer=dict(type='FixedResizer'), test_cfg=test), **preprocessor)),
        **model or {})


def segmenter(*args, **kwargs) -> nn.Module:
    model = MMSEG_MODELS.build(config(*args, **kwargs))
    model.init_weights()
    return model


def guided(head: dict, **upsampling) -> dict:
    return dict(type='dsnet_mm.GuidedHead', head=head, upsampling=upsampling)


def ramp(height: int, width: int) -> Tensor:
    """(3, H, W) an image whose colours are its columns and rows: they survive being resized."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack([columns, rows, torch.zeros_like(rows)]).float()


def batch(*images: Tensor, labels: list[Tensor] | None = None, **meta) -> dict:
    samples = []
    for index, image in enumerate(images):
        size = tuple(image.shape[1:])
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size, **meta))
        label = labels[index] if labels else image[:1].long()
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    return dict(inputs=list(images), data_samples=samples)


@pytest.mark.parametrize('test', [None, dict(size_divisor=32), dict(size=(240, 320))],
                         ids=['', 'divisor', 'size'])
@pytest.mark.parametrize('mode, stride', [
    # mmseg enlarges the logits of a window by themselves: seams are not what is tested here.
    ('slide', 1), *((mode, stride) for mode in ('whole', 'flip', 'two') for stride in (1, 2, 4))])
def test_predictions_lie_on_their_pixels(test, mode, stride):
    sliding = dict(type='dsnet_mm.GuidedEncoderDecoder', mode=SLIDE) if mode == 'slide' else {}
    # Whole strides only where nothing is padded.
    size = dict(scale=None, target_size=(32, 56)) if test is None else {}
    model = segmenter(backbone=dict(type='Averages', stride=stride), test=test, **size, **sliding)
    image = ramp(92, 160)
    given = image.flip(2) if mode == 'flip' else image
    meta = dict(flip=True, flip_direction='horizontal') if mode == 'flip' else {}
    for result in model.test_step(batch(*(2 if mode == 'two' else 1) * [given], **meta)):
        found = result.seg_logits.data
        assert found.shape == image.shape and result.pred_sem_seg.shape == image.shape[1:]
        border = 4 * stride + 3
        # Less than a hundredth of a few small pixels.
        assert (found - image)[:, border:-border, border:-border].abs().max() < 0.15


@pytest.mark.parametrize('padding', [dict(), dict(size_divisor=16), dict(size_divisor=None,
                                                                         size=(190, 200))])
@pytest.mark.parametrize('channel', [0, 1])
@pytest.mark.parametrize('stride', [1, 2])
def test_labels_lie_on_their_pixels(padding, channel, stride):
    head = dict(HEAD, loss_decode=dict(type='Distance'))
    if not padding:
        padding = dict(target_size=(36, 40), scale=None)
    model = segmenter(guided(head), backbone=dict(type='Averages', stride=stride), **padding)
    images = [ramp(101, 120), ramp(101, 120), ramp(130, 111)]
    if channel:
        images = [image[[1, 0, 2]] for image in images]
    data = model.data_preprocessor(batch(*images), True)
    losses = model(**data, mode='loss')
    assert losses['decode.loss_distance'] < 0.15


def small_scene(height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """An image of two discs and the labels of its pixels, whose edges are one pixel sharp."""
    draw = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    labels = torch.zeros(1, height, width, dtype=torch.long)
    for label in (1, 2):
        y, x = torch.rand(2, generator=draw)
        labels[0][(rows - height * y)**2 + (columns - width * x)**2 < (width / 5)**2] = label
    colours = torch.tensor([[40., 60, 90], [190, 120, 30], [90, 220, 230]])
    noise = 4 * torch.randn(3, height, width, generator=draw)
    return (colours[labels[0]].permute(2, 0, 1) + noise).clamp(0, 255).byte(), labels


def test_overfits_at_full_size_with_flips_padding_and_two_sizes():
    scenes = [small_scene(60, 84, 0), small_scene(75, 62, 1), small_scene(60, 84, 2)]
    statistics = dict(mean=[120.] * 3, std=[70.] * 3, bgr_to_rgb=True)
    model = segmenter(guided(FCN), backbone=dict(type='Convolutions'), size_divisor=8,
                      test=dict(size_divisor=8), **statistics)
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-2))
    model.train()
    for step in range(150):
        turned = [tuple(t.flip(2) if (step + i) % 2 else t for t in scene)
                  for i, scene in enumerate(scenes)]
        images, labels = zip(*turned)
        model.train_step(batch(*images, labels=list(labels)), optimizer)
    model.eval()
    wrong = total = 0
    with torch.no_grad():
        for image, labels in scenes:
            for flip in (False, True):
                meta = dict(flip=flip, flip_direction='horizontal')
                data = batch(image.flip(2) if flip else image, **meta)
                [result] = model.test_step(data)
                wrong += int((result.pred_sem_seg.data != labels).sum())
                total += labels.numel()
    assert wrong / total < 0.004, wrong / total


def test_untrained_it_predicts_what_the_head_alone_does():
    models = []
    for head in (FCN, guided(FCN)):
        torch.manual_seed(1)
        models.append(segmenter(head, backbone=dict(type='Convolutions'), mean=[120.] * 3,
                                std=[70.] * 3))
    alone, model = models
    # The same random numbers, and either's checkpoint.
    assert torch.equal(alone.decode_head.conv_seg.weight, model.decode_head.head.conv_seg.weight)
    for parameter in alone.parameters():
        nn.init.normal_(parameter, std=0.3)
    missing, unexpected = model.load_state_dict(alone.state_dict(), strict=False)
    assert not unexpected and all('.upsampling.' in key for key in missing)
    for test_cfg in (None, dict(size_divisor=8)):
        results = []
        for each in (alone.eval(), model.eval()):
            each.data_preprocessor.test_cfg = test_cfg
            [result] = each.test_step(batch(small_scene(60, 84, 0)[0]))
            results.append(result.seg_logits.data)
        assert (results[0] - results[1]).abs().max() < 0.02 * (results[0].max() - results[0].min())
    losses = [each.train()(**each.data_preprocessor(batch(*2 * [small_scene(60, 84, 0)[0]],
                                                          labels=2 * [small_scene(60, 84, 0)[1]]),
                                                    True), mode='loss') for each in (alone, model)]
    torch.testing.assert_close(losses[0]['decode.loss_ce'], losses[1]['decode.loss_ce'], rtol=0.02,
                               atol=0)


def test_cascades_and_auxiliary_heads():
    head = dict(HEAD, loss_decode=dict(type='Distance'))
    stages = [head, guided(dict(head, type='NextImageHead'))]
    model = segmenter(stages, 'CascadeEncoderDecoder', size_divisor=16,
                      model=dict(num_stages=2, auxiliary_head=head))
    image = ramp(101, 120)
    losses = model(**model.data_preprocessor(batch(image, image), True), mode='loss')
    assert losses['decode_1.loss_distance'] < 0.15
    # mmseg's own enlarge padded logits to padded labels, whose sizes are whole pixels.
    for name in ('decode_0', 'aux'):
        assert losses[f'{name}.loss_distance'] < 0.6
    [result] = model.test_step(batch(image))
    assert (result.seg_logits.data - image)[:, 9:-9, 9:-9].abs().max() < 0.15


def test_copies_share_images_and_leave_nothing_behind():
    model = segmenter()
    data = model.data_preprocessor(batch(ramp(60, 84)))
    guide = data['data_samples'][0].guide
    assert copy.deepcopy(data['data_samples'][0]).guide.image is guide.image
    assert repr(guide) == 'Guide((60, 84) -> (21, 29), padded to (21, 29))'
    for _ in range(2):
        [result] = copy.deepcopy(model)(**data, mode='predict')
        assert result.seg_logits.shape == (60, 84)
    assert not any(isinstance(value, Tensor) for value in vars(model.decode_head).values())


@pytest.mark.parametrize('head', [HEAD, guided(HEAD)], ids=['plain', 'guided'])
@pytest.mark.parametrize('how', ['test_step', 'inference_model', 'MMSegInferencer'])
def test_results_do_not_keep_the_large_image(head, how, monkeypatch):
    kept = []

    class Watched(Guide):
        def __init__(self, image: Tensor, *args, **kwargs) -> None:
            kept.append(weakref.ref(image))
            super().__init__(image, *args, **kwargs)

    monkeypatch.setattr(seg, 'Guide', Watched)
    cfg = Config(dict(
        model=config(head), test_pipeline=PIPELINE, visualizer=dict(type='SegLocalVisualizer'),
        test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))
    image = ramp(60, 84).byte().permute(1, 2, 0).numpy()
    with DefaultScope.overwrite_default_scope('mmseg'):
        if how == 'MMSegInferencer':
            inferencer = MMSegInferencer(cfg, dataset_name='cityscapes')
            result = inferencer(image, return_datasamples=True)
        else:
            model = segmenter(head)
            model.cfg = cfg
            [result] = (model.test_step(batch(torch.from_numpy(image).permute(2, 0, 1)))
                        if how == 'test_step' else inference_model(model, [image]))
    assert result.pred_sem_seg.shape == (60, 84)
    assert 'guide' not in result and b'Guide' not in pickle.dumps(result)
    assert kept and all(image() is None for image in kept)


def test_the_loss_in_bands_is_the_same():
    image, labels = small_scene(61, 84, 0)
    torch.manual_seed(1)
    whole = segmenter(guided(FCN), backbone=dict(type='Convolutions'), mean=[120.] * 3,
                      std=[70.] * 3, size_divisor=8)
    nn.init.normal_(whole.decode_head.upsampling.logits.weight)
    bands = copy.deepcopy(whole)
    bands.decode_head.loss_bands = 3
    for model in (whole, bands):
        data = model.data_preprocessor(
            batch(image, image[:, 5:], labels=[labels, labels[:, 5:]]), True)
        model.losses = model(**data, mode='loss')
        model.losses['decode.loss_ce'].backward()
    for name, value in whole.losses.items():
        torch.testing.assert_close(bands.losses[name], value)
    for expected, found in zip(whole.parameters(), bands.parameters()):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-6)


def test_a_models_init_cfg_leaves_the_upsampling():
    model = segmenter(init_cfg=dict(type='Constant', layer='Conv2d', val=3.))
    assert model.decode_head.upsampling.logits.weight.abs().max() == 0


@pytest.mark.parametrize('upsampling', [dict(channels=4), dict(density=2)])
def test_upsampling_takes_its_arguments(upsampling):
    net = segmenter(guided(HEAD, **upsampling)).decode_head.upsampling
    assert all(value == (net.density if name == 'density' else net.context.in_channels)
               for name, value in upsampling.items())


@pytest.mark.parametrize('test', [None, dict(size_divisor=32)])
def test_bilinear_upsampling_is_what_guidance_starts_from(test):
    models = [segmenter(dict(guided(HEAD), guided=is_guided), test=test)
              for is_guided in (False, True)]
    assert not list(models[0].decode_head.upsampling.parameters())
    image = torch.rand(3, 92, 160) * 255
    bilinear, start = (model.test_step(batch(image))[0].seg_logits.data for model in models)
    assert 0 < (bilinear - start).abs().mean() < 0.01 * bilinear.std()


def test_what_is_refused():
    image = ramp(60, 84)
    with pytest.raises(RuntimeError, match=r"resize_gt_sem_seg=False.*give it data samples"):
        model = segmenter()
        model(model.data_preprocessor(dict(inputs=[image]))['inputs'], mode='predict')
    with pytest.raises(RuntimeError, match='resize_gt_sem_seg=False'):
        segmenter(resize_gt_sem_seg=True).test_step(batch(image))
    with pytest.raises(RuntimeError, match="slide.*GuidedEncoderDecoder.*mode='whole'"):
        segmenter(mode=SLIDE).test_step(batch(image))
    with pytest.raises(ValueError, match=r'labels of the size of their image, \(60, 84\), got'):
        model = segmenter()
        model(**model.data_preprocessor(batch(image, labels=[torch.zeros(1, 9, 9).long()]), True),
              mode='loss')
    with pytest.raises(ValueError, match='different sizes.*batch_size'):
        segmenter(scale=None, target_size=(20, 30)).test_step(batch(image, ramp(50, 84)))
    with pytest.raises(ValueError, match='loss_bands must be a positive integer, got 0'):
        GuidedHead(HEAD, loss_bands=0)
    with pytest.raises(ValueError, match='align_corners=False in ImageHead'):
        GuidedHead(dict(HEAD, align_corners=True))
    with pytest.raises(TypeError, match='PointHead has a loss or predictions of its own'):
        GuidedHead(dict(type='PointHead', in_channels=[3], in_index=[0], channels=3, num_classes=3))

"""Detail maps on their way from the resizer to the backbone."""
import warnings
from types import SimpleNamespace

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeSegDataPreProcessor
from dsnet_mm.config import build_model, load_config
from dsnet_mm.engine.hooks import CheckResizerHook, TrainResizerOnlyHook, resizing_parameters

import pytest
import torch
from mmengine.optim import OptimWrapper
from samples import det_sample, image, seg_sample

STATISTICS = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
DETAIL = dict(type='DownsizeNetV2', detail_channels=5)


def pair(kind: type, **options: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A preprocessor whose resizer gives detail maps, and the same one without."""
    ours = kind(**STATISTICS, **options, resizer=DETAIL)
    plain = kind(**STATISTICS, **options, resizer=dict(type='DownsizeNetV2'))
    torch.nn.init.normal_(ours.resizer.logits.weight)
    plain.resizer.load_state_dict({key: value for key, value in ours.resizer.state_dict().items()
                                   if not key.startswith('detail')})
    return ours, plain


@pytest.mark.parametrize('training', [False, True])
def test_they_stand_behind_the_image_padded_with_zeros(training):
    ours, plain = pair(DownsizeDetDataPreprocessor, scale=0.5, pad_size_divisor=8)
    data = [dict(inputs=images, data_samples=[det_sample(40, 60), det_sample(30, 50)])
            for images in 2 * [[image(40, 60), image(30, 50)]]]
    found, expected = ours(data[0], training), plain(data[1], training)
    inputs = found['inputs']
    assert inputs.shape == (2, 8, 24, 32)
    assert torch.equal(inputs[:, :3], expected['inputs'])
    for sample, same in zip(found['data_samples'], expected['data_samples']):
        assert sample.metainfo == same.metainfo
    for index, (h, w) in enumerate([(20, 30), (15, 25)]):
        maps = ours.resizer(data[0]['inputs'][index][None], (h, w))[0, 3:]
        torch.testing.assert_close(inputs[index, 3:, :h, :w], maps)
        assert not inputs[index, 3:, h:].any() and not inputs[index, 3:, :, w:].any()


def test_a_batch_is_a_list():
    ours, _ = pair(DownsizeSegDataPreProcessor, scale=0.5, size_divisor=1)
    images = torch.stack([image(40, 60), image(40, 60)])
    both = [ours(dict(inputs=given, data_samples=[seg_sample(40, 60), seg_sample(40, 60)]))
            for given in (images, list(images))]
    assert torch.equal(both[0]['inputs'], both[1]['inputs'])
    assert both[0]['inputs'].shape == (2, 8, 20, 30)


def test_the_image_stays_an_image():
    ours, plain = pair(DownsizeDetDataPreprocessor, scale=0.5)
    images = [image(40, 60), image(30, 50)]
    for found, expected in zip(ours.resize(images), plain.resize(images)):
        assert found.shape[0] == 3 and torch.equal(found, expected)


@pytest.mark.parametrize('resizer', [DETAIL, dict(type='SpaceToDepth')],
                         ids=lambda resizer: resizer['type'])
@pytest.mark.parametrize('factor, dtype, statistics, unit', [
    (1, torch.uint8, {}, 58),
    (1, torch.uint8, STATISTICS, 1),
    (1, torch.float32, STATISTICS, 1),
    (1 / 255, torch.float32, dict(mean=[0.5] * 3, std=[0.225] * 3), 1),
    (256, torch.float32, dict(mean=[32000.] * 3, std=[15000.] * 3), 1)])
def test_they_are_of_the_order_of_the_image(factor, dtype, statistics, unit, resizer, data_root):
    import cv2
    photo = cv2.imread(str(data_root / 'camvid/img_dir/val/0016E5_07959.jpg'))
    images = [(torch.from_numpy(photo).permute(2, 0, 1).float() * factor).to(dtype)]
    torch.manual_seed(0)
    ours = DownsizeDetDataPreprocessor(scale=0.3, **statistics, resizer=resizer)
    with torch.no_grad():
        inputs = ours(dict(inputs=images))['inputs']
    assert len(inputs[0]) > 3
    for spread in inputs.std(dim=(0, 2, 3)):
        assert 0.1 < spread / unit < 10


def test_images_of_unknown_range_are_refused():
    ours = DownsizeDetDataPreprocessor(scale=0.5, resizer=DETAIL)
    with pytest.raises(ValueError, match='range is not known .* set mean and std there'):
        ours(dict(inputs=[torch.randn(3, 40, 60)]))


def model(**options: object) -> torch.nn.Module:
    """The mini U-Net of thin cracks behind detail maps."""
    cfg = load_config('configs/mini/cracks/unet_cracks.py', {
        'model.data_preprocessor.resizer': DETAIL, 'model.backbone.type': 'dsnet_mm.DetailBackbone',
        'model.backbone.backbone': 'UNet', 'model.backbone.detail_channels': 5,
        'model.data_preprocessor.scale': 0.5, **options})
    net = build_model(cfg)
    net.init_weights()
    return net.train()


def batch() -> dict:
    samples = [seg_sample(64, 64), seg_sample(64, 64)]
    for sample in samples:
        sample.gt_sem_seg.data %= 2
    return dict(inputs=[image(64, 64), image(64, 64)], data_samples=samples)


def test_resizer_and_second_convolution_learn_from_the_second_step_on():
    net = model()
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1))
    resizer = net.data_preprocessor.resizer.detail.weight
    [second] = [value for name, value in net.named_parameters() if name.endswith('.detail.weight')
                and name.startswith('backbone')]
    before = resizer.detach().clone()
    net.train_step(batch(), wrapper)
    assert second.abs().max() > 0 and torch.equal(resizer, before)
    net.train_step(batch(), wrapper)
    assert not torch.equal(resizer, before)


class Runner:
    """What the hooks ask of a runner."""

    def __init__(self, net: torch.nn.Module) -> None:
        self.model = net


def test_the_second_convolution_learns_with_the_resizer_alone():
    net = model()
    hook = TrainResizerOnlyHook()
    hook.before_train(Runner(net))
    learn = {name for name, value in net.named_parameters() if value.requires_grad}
    assert learn == {name for name in dict(net.named_parameters())
                     if 'data_preprocessor' in name or name.endswith('detail.weight')}
    assert len(resizing_parameters(net)) == len(learn) == 8


def test_a_backbone_that_does_not_read_them_is_refused_before_training():
    cfg = load_config('configs/mini/cracks/unet_cracks.py',
                      {'model.data_preprocessor.resizer': DETAIL})
    with pytest.raises(ValueError, match='does not read them: set model.backbone.type=.*Detail'):
        CheckResizerHook().before_train(Runner(build_model(cfg)))
    CheckResizerHook().before_train(Runner(model()))


def test_a_backbone_without_maps_to_read_is_refused_before_training():
    net = model(**{'model.data_preprocessor.resizer': dict(type='DownsizeNetV2')})
    with pytest.raises(ValueError, match="there are none: set the resizer's detail_channels"):
        CheckResizerHook().before_train(SimpleNamespace(model=net))


def test_a_preprocessor_that_crops_afterwards_is_refused():
    ours, _ = pair(DownsizeDetDataPreprocessor, scale=0.5)
    with pytest.raises(ValueError, match='smaller, 8x8 instead of 20x30 pixels'):
        ours.with_detail(torch.rand(1, 3, 8, 8), torch.rand(1, 5, 20, 30))


def test_gradient_checkpointing_gives_the_same_step():
    losses = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        net = model(**{'model.backbone.with_cp': with_cp})
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of mmseg's reentrant checkpoints
            losses.append(net.train_step(batch(), OptimWrapper(
                torch.optim.SGD(net.parameters(), lr=0.1))))
    assert losses[0].keys() == losses[1].keys()
    for name in losses[0]:
        torch.testing.assert_close(losses[0][name], losses[1][name])

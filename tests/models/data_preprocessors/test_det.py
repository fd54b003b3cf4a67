"""The preprocessor for mmdet: what it does to images and samples, and what it refuses."""
import copy

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeNet, DownsizeNetV2

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.runner import load_state_dict
from mmengine.structures import InstanceData
from samples import det_sample, image

BILINEAR = dict(type='FixedResizer', mode='bilinear')
STOCK = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
             pad_size_divisor=8)


def batch(*sizes, samples=True, **metainfo):
    data = dict(inputs=[image(*size) for size in sizes])
    if samples:
        data['data_samples'] = [det_sample(*size, **metainfo) for size in sizes]
    return data


@pytest.mark.parametrize('training', [True, False])
def test_images_are_those_of_the_stock_preprocessor_on_resized_images(training):
    data = batch((40, 60), (30, 30), (40, 60))
    ours = DownsizeDetDataPreprocessor(scale=0.5, resizer=BILINEAR, **STOCK)
    small = [F.interpolate(x[None].float(), scale_factor=0.5, mode='bilinear')[0]
             for x in data['inputs']]
    reference = DetDataPreprocessor(**STOCK)(dict(inputs=small), training)['inputs']
    result = ours(data, training)
    torch.testing.assert_close(result['inputs'], reference)
    assert result['inputs'].shape == (3, 3, 24, 32)
    meta = result['data_samples'][1].metainfo
    assert meta['pad_shape'] == (16, 16) and meta['batch_input_shape'] == (24, 32)


def test_list_and_stacked_batch_give_the_same():
    ours = DownsizeDetDataPreprocessor(target_size=(17, 23), **STOCK)
    data = batch((40, 60), (40, 60))
    stacked = dict(data, inputs=torch.stack(data['inputs']))
    for training in (True, False):
        a, b = ours(data, training), ours(stacked, training)
        torch.testing.assert_close(a['inputs'], b['inputs'])
        assert a['data_samples'][0].metainfo == b['data_samples'][0].metainfo


@pytest.mark.parametrize('extra', [{}, {'data_samples': None}])
def test_without_data_samples(extra):
    ours = DownsizeDetDataPreprocessor(target_size=(16, 16), **STOCK)
    result = ours({**batch((20, 30), samples=False), **extra})
    assert result['inputs'].shape == (1, 3, 16, 16) and result['data_samples'] is None


def test_training_sample_follows_its_image():
    ours = DownsizeDetDataPreprocessor(target_size=(20, 15), resizer=BILINEAR)
    sample = ours(batch((40, 60)), True)['data_samples'][0]
    sy, sx = 0.5, 0.25
    scale = torch.tensor([sx, sy, sx, sy])
    boxes = torch.tensor([[2., 4., 12., 20.], [0., 0., 60., 40.]])
    torch.testing.assert_close(sample.gt_instances.bboxes, boxes * scale)
    torch.testing.assert_close(sample.ignored_instances.bboxes, boxes[:1] * scale)
    torch.testing.assert_close(sample.proposals.bboxes, boxes[:1] * scale)
    polygon = sample.gt_instances.masks.masks[1][0]
    np.testing.assert_allclose(
        polygon, [5 * sx, 5 * sy, 15 * sx, 5 * sy, 15 * sx, 15 * sy])
    assert (sample.gt_instances.masks.height, sample.gt_instances.masks.width) == (20, 15)
    bitmap = sample.ignored_instances.masks.masks
    assert bitmap.shape == (1, 20, 15) and bitmap[:, :10].all() and not bitmap[:, 10:].any()
    # The label map had half the image's size and keeps that relation.
    expected = F.interpolate((torch.arange(600) % 7).view(1, 1, 20, 30).double(), (10, 8),
                             mode='nearest-exact')[0].long()
    assert torch.equal(sample.gt_sem_seg.sem_seg, expected)


def test_metainfo():
    ours = DownsizeDetDataPreprocessor(target_size=(20, 15))
    for training in (True, False):
        meta = ours(batch((40, 60)), training)['data_samples'][0].metainfo
        assert meta['img_shape'] == (20, 15) and type(meta['img_shape']) is tuple
        assert meta['scale_factor'] == (0.5 * 0.25, 0.5 * 0.5)
        assert all(type(x) is float for x in meta['scale_factor'])
        assert meta['ori_shape'] == (80, 120)
        assert meta['flip'] and meta['flip_direction'] == 'horizontal'


def test_nothing_handed_in_is_changed():
    ours = DownsizeDetDataPreprocessor(target_size=(20, 15), pad_mask=True, **STOCK)
    data = batch((40, 60), (30, 30), border=np.array([1, 2, 3, 4], np.float32),
                 homography_matrix=np.eye(3, dtype=np.float32))
    before = copy.deepcopy(data)
    first = ours(data, True)
    ours(data, False)
    second = ours(data, True)
    torch.testing.assert_close(first['inputs'], second['inputs'])
    for now, then in zip(data['data_samples'], before['data_samples']):
        assert set(now.all_keys()) == set(then.all_keys())
        torch.testing.assert_close(now.gt_instances.bboxes.tensor, then.gt_instances.bboxes.tensor)
        torch.testing.assert_close(now.ignored_instances.bboxes, then.ignored_instances.bboxes)
        torch.testing.assert_close(now.proposals.bboxes, then.proposals.bboxes)
        assert torch.equal(now.gt_sem_seg.sem_seg, then.gt_sem_seg.sem_seg)
        assert np.array_equal(now.ignored_instances.masks.masks, then.ignored_instances.masks.masks)
        for key, value in then.metainfo.items():
            np.testing.assert_equal(now.metainfo[key], value)
    for a, b in zip(first['data_samples'], second['data_samples']):
        torch.testing.assert_close(a.gt_instances.bboxes, b.gt_instances.bboxes)
        assert a.scale_factor == b.scale_factor


def test_boxes_of_any_width_as_plain_tensors():
    ours = DownsizeDetDataPreprocessor(scale=(0.5, 0.25))
    data = batch((40, 60))
    quadrilateral = torch.arange(8.).view(1, 8)
    data['data_samples'][0].gt_instances = InstanceData(bboxes=quadrilateral)
    result = ours(data, True)['data_samples'][0].gt_instances.bboxes
    torch.testing.assert_close(result, quadrilateral * torch.tensor([0.25, 0.5] * 4))
    data['data_samples'][0].gt_instances = InstanceData(bboxes=torch.tensor([[1, 2, 7, 8]]))
    result = ours(data, True)['data_samples'][0].gt_instances.bboxes
    torch.testing.assert_close(result, torch.tensor([[0.25, 1, 1.75, 4]]))


def test_gradient_reaches_the_resizer_unless_frozen():
    for freeze in (False, True):
        ours = DownsizeDetDataPreprocessor(target_size=(16, 16), freeze=freeze, **STOCK)
        loss = ours(batch((30, 40), (20, 20)), True)['inputs'].square().sum()
        assert loss.requires_grad is not freeze
        if not freeze:
            loss.backward()
            assert ours.resizer.logits.weight.grad.abs().sum() > 0


def test_the_dotted_name_resolves_from_any_scope():
    cfg = dict(type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(16, 16),
               resizer=dict(type='DownsizeNet', num_convs=3))
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmdet'):
        for registry in (MMDET_MODELS, MMENGINE_MODELS):
            assert isinstance(registry.build(cfg), DownsizeDetDataPreprocessor)


def test_random_state_is_left_alone():
    """So that the model behind starts from the same weights in every variant."""
    states = []
    for resizer in (BILINEAR, dict(type='DownsizeNet', num_convs=4), {}):
        torch.manual_seed(3)
        DownsizeDetDataPreprocessor(target_size=(16, 16), resizer=resizer).init_weights()
        states.append(torch.random.get_rng_state())
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])


def test_resizer_starts_from_a_checkpoint(tmp_path):
    trained = DownsizeDetDataPreprocessor(target_size=(16, 16))
    torch.nn.init.normal_(trained.resizer.logits.weight)
    model = torch.nn.ModuleDict(dict(data_preprocessor=trained))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    ours = DownsizeDetDataPreprocessor(target_size=(16, 16), resizer=dict(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'model.pth'),
        prefix='data_preprocessor.resizer.')))
    ours.init_weights()
    for a, b in zip(ours.resizer.parameters(), trained.resizer.parameters()):
        assert torch.equal(a, b)


def test_the_default_resizer():
    assert type(DownsizeDetDataPreprocessor(scale=0.5).resizer) is DownsizeNetV2


@pytest.mark.parametrize('trained, kind', [(DownsizeNet, DownsizeNetV2),
                                           (DownsizeNetV2, DownsizeNet)])
def test_a_checkpoint_of_the_other_network_is_refused(trained, kind):
    """mmengine would warn of it only, and predict behind an untrained resizer."""
    model, other = (DownsizeDetDataPreprocessor(scale=0.5, resizer=dict(type=net.__name__))
                    for net in (trained, kind))
    message = rf"is a {trained.__name__}, this is a {kind.__name__}.*type='{trained.__name__}'"
    with pytest.raises(ValueError, match=message):
        load_state_dict(other, model.state_dict())


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(), ValueError, 'exactly one'),
    (dict(scale=(320, 320)), ValueError, r'at most 8, .*for pixels: target_size=\(h, w\)'),
    (dict(target_size=(16, 16), scale=0.5), ValueError, 'exactly one'),
    (dict(target_size=(16, -16)), ValueError, 'positive'),
    (dict(short_edge=1.5), TypeError, 'integers'),
    (dict(scale=0.5, resizer=dict(type='Upsize')), ValueError, "unknown resizer type 'Upsize'.*"
     'DownsizeNet'),
    (dict(scale=0.5, resizer=dict(type='FixedResizer', mode='cubic')), ValueError, 'cubic'),
    (dict(scale=0.5, resizer='FixedResizer'), TypeError, "config.*got 'FixedResizer'"),
])
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        DownsizeDetDataPreprocessor(**kwargs)


def test_an_init_cfg_that_was_never_applied_is_noticed():
    ours = DownsizeDetDataPreprocessor(
        target_size=(16, 16), resizer=dict(init_cfg=dict(type='Constant', layer='Conv2d', val=1.)))
    with pytest.raises(RuntimeError, match='init_weights'):
        ours(batch((20, 30)), True)
    ours.init_weights()
    ours(batch((20, 30)), True)
    assert ours.resizer.logits.weight.eq(1).all()


def test_as_many_samples_as_images():
    data = batch((20, 30), (20, 30))
    del data['data_samples'][0]
    with pytest.raises(ValueError, match='2 images came with 1 data samples'):
        DownsizeDetDataPreprocessor(target_size=(16, 16))(data)


@pytest.mark.parametrize('inputs, error, message', [
    ([torch.zeros(4, 3, 8, 8)], ValueError, r'\(C, H, W\).*TrackDataPreprocessor'),
    ([np.zeros((3, 8, 8))], ValueError, 'ndarray'),
    ([torch.zeros(3, 8, 8, dtype=torch.long)], TypeError, 'int64'),
    ([torch.zeros(3, 0, 8)], ValueError, 'empty'),
    (torch.zeros(3, 8, 8), ValueError, r'\(N, C, H, W\)'),
    ([torch.zeros(1, 8, 8)], ValueError, 'in_channels=1'),
])
def test_bad_images(inputs, error, message):
    ours = DownsizeDetDataPreprocessor(short_edge=4)
    with pytest.raises(error, match=message):
        ours(dict(inputs=inputs))

"""The preprocessor for mmseg."""
import copy

from dsnet_mm import DownsizeSegDataPreProcessor

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.data_preprocessor import SegDataPreProcessor
from samples import image, seg_sample

STOCK = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def batch(*sizes, **metainfo):
    return dict(inputs=[image(*size) for size in sizes],
                data_samples=[seg_sample(*size, **metainfo) for size in sizes])


@pytest.mark.parametrize('training', [True, False])
def test_is_the_stock_preprocessor_on_resized_images(training):
    data = batch((40, 60), (40, 60))
    ours = DownsizeSegDataPreProcessor(
        scale=0.5, size=(50, 70), resizer=dict(type='FixedResizer'), **STOCK)
    small = copy.deepcopy(data)
    small['inputs'] = [F.interpolate(x[None].float(), scale_factor=0.5, mode='bilinear')[0]
                       for x in data['inputs']]
    for sample in small['data_samples']:
        labels = F.interpolate(sample.gt_sem_seg.data[None].double(), (20, 30),
                               mode='nearest-exact')[0].long()
        sample.gt_sem_seg = type(sample.gt_sem_seg)(data=labels)
    reference = SegDataPreProcessor(size=(25, 35), **STOCK)(small, training)
    result = ours(data, training)
    torch.testing.assert_close(result['inputs'], reference['inputs'])
    if training:
        assert result['inputs'].shape == (2, 3, 25, 35)
        for a, b in zip(result['data_samples'], reference['data_samples']):
            assert torch.equal(a.gt_sem_seg.data, b.gt_sem_seg.data)
            assert tuple(a.pad_shape) == tuple(b.pad_shape)


def test_stacked_batch_and_absent_samples():
    ours = DownsizeSegDataPreProcessor(target_size=(16, 24), **STOCK)
    data = batch((40, 60), (40, 60))
    listed = ours(data)['inputs']
    torch.testing.assert_close(ours(dict(data, inputs=torch.stack(data['inputs'])))['inputs'],
                               listed)
    torch.testing.assert_close(ours(dict(inputs=data['inputs']))['inputs'], listed)


def test_images_of_different_sizes_meet_at_the_target_size():
    ours = DownsizeSegDataPreProcessor(target_size=(16, 24), **STOCK)
    assert ours(batch((40, 60), (32, 20)))['inputs'].shape == (2, 3, 16, 24)


def test_nothing_handed_in_is_changed():
    ours = DownsizeSegDataPreProcessor(target_size=(16, 24), size=(50, 50), **STOCK)
    data = batch((40, 60), (30, 30))
    before = copy.deepcopy(data)
    for training in (True, False, True):
        ours(data, training)
    for now, then in zip(data['data_samples'], before['data_samples']):
        assert now.metainfo == then.metainfo
        assert torch.equal(now.gt_sem_seg.data, then.gt_sem_seg.data)


def test_without_padding_options_a_batch_is_padded_to_its_largest_image():
    """The bare one line: mmseg itself stops in training, at an assertion."""
    data = batch((40, 60), (30, 80))
    result = DownsizeSegDataPreProcessor(scale=0.5)(data, True)
    assert result['inputs'].shape == (2, 3, 20, 40)
    first, second = (sample.gt_sem_seg.data for sample in result['data_samples'])
    assert first.shape == second.shape == (1, 20, 40)
    assert (first[..., 30:] == 255).all() and (second[:, 15:] == 255).all()


def test_both_padding_options_are_refused_in_training():
    ours = DownsizeSegDataPreProcessor(scale=0.5, size=(40, 60), size_divisor=8)
    with pytest.raises(ValueError, match=r'both size=\(20, 30\) and size_divisor=8: set one'):
        ours(batch((40, 60)), True)
    assert ours(batch((40, 60)))['inputs'].shape == (1, 3, 20, 30)

"""Who reads what after a preprocessor, and where results would go silently wrong: ten traps."""
import copy

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeMixin, DownsizeSegDataPreProcessor
from dsnet_mm.config import load_config

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import (
    BatchFixedSizePad,
    BoxInstDataPreprocessor,
    MultiBranchDataPreprocessor,
)
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from samples import det_sample, image, seg_sample

SEG = dict(type='dsnet_mm.DownsizeSegDataPreProcessor', target_size=(32, 64))


def det_batch(**metainfo):
    return dict(inputs=[image(40, 60)], data_samples=[det_sample(40, 60, **metainfo)])


def seg_batch(**metainfo):
    return dict(inputs=[image(40, 60)], data_samples=[seg_sample(40, 60, **metainfo)])


# 1. Metrics read ground truth in original coordinates; proposals are of the input frame.
def test_1_ground_truth_stays_at_test_and_proposals_move():
    data = det_batch()
    sample = DownsizeDetDataPreprocessor(scale=0.5)(data)['data_samples'][0]
    given = data['data_samples'][0]
    torch.testing.assert_close(sample.gt_instances.bboxes, given.gt_instances.bboxes.tensor)
    assert sample.gt_instances.masks.height == 40
    assert torch.equal(sample.gt_sem_seg.sem_seg, given.gt_sem_seg.sem_seg)
    torch.testing.assert_close(sample.ignored_instances.bboxes, given.ignored_instances.bboxes)
    torch.testing.assert_close(sample.proposals.bboxes, given.proposals.bboxes * 0.5)
    data = seg_batch()
    sample = DownsizeSegDataPreProcessor(scale=0.5)(data)['data_samples'][0]
    assert torch.equal(sample.gt_sem_seg.data, data['data_samples'][0].gt_sem_seg.data)


# 2. Fixed-size stages undo the shrink.
@pytest.mark.parametrize('rule, size', [
    (dict(scale=0.5), (20, 40)), (dict(target_size=(16, 24)), (16, 24)),
    (dict(short_edge=10), (10, 20))])
def test_2_fixed_sizes_shrink_with_the_image(rule, size):
    seg = DownsizeSegDataPreProcessor(size=(40, 80), test_cfg=dict(size=(40, 80)), **rule)
    assert seg.size == size and seg.test_cfg['size'] == size
    pad = [dict(type='BatchFixedSizePad', size=(40, 80))]
    if 'short_edge' in rule:
        with pytest.raises(ValueError, match='short_edge=10.*use scale or target_size'):
            DownsizeDetDataPreprocessor(batch_augments=pad, **rule)
        return
    det = DownsizeDetDataPreprocessor(batch_augments=pad, **rule)
    assert isinstance(det.batch_augments[0], BatchFixedSizePad)
    data = dict(inputs=[image(40, 80)], data_samples=[det_sample(40, 80)])
    assert det(data, True)['inputs'].shape[-2:] == size


def test_2_the_config_is_not_changed():
    test_cfg = dict(size=(40, 80))
    DownsizeSegDataPreProcessor(test_cfg=test_cfg, scale=0.5)
    assert test_cfg == dict(size=(40, 80))


@pytest.mark.parametrize('augment', [
    dict(type='BatchSyncRandomResize', random_size_range=(480, 800)),
    dict(type='BatchResize', scale=(800, 1400))])
def test_2_stages_that_resize_again_are_refused(augment):
    with pytest.raises(ValueError, match=f'{augment["type"]}.*batch_augments=None.*RandomResize'):
        DownsizeDetDataPreprocessor(scale=0.5, batch_augments=[augment])


# 3. A top-level data_preprocessor wins in test-time augmentation.
def test_3_the_one_line_holds_in_test_time_augmentation():
    cfg = load_config('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
                      {f'model.data_preprocessor.{k}': v for k, v in SEG.items()})
    with DefaultScope.overwrite_default_scope('mmseg'):
        from mmseg.registry import MODELS
        # As mmengine's Runner builds it.
        tta = MODELS.build(dict(type='SegTTAModel', module=cfg.model,
                                data_preprocessor=cfg.data_preprocessor))
    preprocessor = tta.module.data_preprocessor
    assert isinstance(preprocessor, DownsizeSegDataPreProcessor)
    assert preprocessor.size == (32, 64)  # was (512, 1024)


def test_3_the_one_line_at_the_top_level_only_is_refused(tmp_path):
    (tmp_path / 'config.py').write_text(
        f'data_preprocessor = {SEG}\n'
        'model = dict(data_preprocessor=dict(type="SegDataPreProcessor"))')
    with pytest.raises(ValueError, match='model.data_preprocessor'):
        load_config(str(tmp_path / 'config.py'))


# 4. mmseg's metainfo decides the size of the logits.
@pytest.mark.parametrize('metainfo', [{}, dict(pad_shape=(40, 60))])
def test_4_predictions_have_the_original_shape_and_place(metainfo):
    with DefaultScope.overwrite_default_scope('mmseg'):
        from mmseg.registry import MODELS
        cfg = Config.fromfile('configs/mini/textures/deeplabv3plus_textures.py')
        model = MODELS.build(cfg.model)
    model.eval()
    data = seg_batch(**metainfo)
    meta = model.data_preprocessor(data)['data_samples'][0].metainfo
    assert type(meta['img_shape']) is tuple and meta['img_shape'] == (14, 21)
    assert tuple(meta.get('pad_shape', (14, 21))) == (14, 21)
    assert meta['ori_shape'] == (40, 60) and meta['reduce_zero_label'] is False
    with torch.no_grad():
        small = model.data_preprocessor(data)['inputs']
        result = model.test_step(data)[0]
        expected = model.encode_decode(small, [dict(img_shape=(14, 21))])
    expected = torch.nn.functional.interpolate(expected, (40, 60), mode='bilinear')[0]
    torch.testing.assert_close(result.seg_logits.data, expected)


# 5. Label maps of another size than the image are not rejected, and end up misaligned.
def test_5_labels_stay_on_their_pixels():
    data = seg_batch()
    quadrants = torch.zeros(1, 40, 60, dtype=torch.long)
    quadrants[:, :20, 30:], quadrants[:, 20:, :30], quadrants[:, 20:, 30:] = 1, 255, 3
    sample = data['data_samples'][0]
    sample.gt_sem_seg = PixelData(data=quadrants)
    edges = torch.zeros(1, 40, 60, dtype=torch.long)
    edges[:, :, 31] = 1
    sample.gt_edge_map = PixelData(data=edges)
    sample.gt_depth_map = PixelData(data=quadrants.float() / 2)
    ours = DownsizeSegDataPreProcessor(scale=0.25, size=(40, 60))
    sample = ours(data, True)['data_samples'][0]
    small = torch.tensor([[0, 1], [255, 3]]).repeat_interleave(5, 0).repeat_interleave(7, 1)
    labels = sample.gt_sem_seg.data
    assert labels.dtype == torch.long and labels.shape == (1, 10, 15)
    assert torch.equal(labels[0, :, :7], small[:, :7]) and torch.equal(labels[0, :, 8:],
                                                                       small[:, 7:])
    assert torch.equal(sample.gt_depth_map.data, labels.float() / 2)
    # A line one pixel wide survives, in its place.
    assert sample.gt_edge_map.data[0].sum(0).nonzero().flatten().tolist() == [7]


def test_5_labels_at_high_resolution_are_padded_in_proportion():
    data = seg_batch()
    ours = DownsizeSegDataPreProcessor(scale=0.5, size=(40, 60), resize_gt_sem_seg=False)
    sample = ours(data, True)['data_samples'][0]
    assert torch.equal(sample.gt_sem_seg.data, data['data_samples'][0].gt_sem_seg.data)
    labels = data['data_samples'][0].gt_sem_seg.data
    # 20x30 pixels become 25x30 and 32x32.
    for padding, size in ((dict(size=(50, 60)), (50, 60)), (dict(size_divisor=32), (64, 64))):
        ours = DownsizeSegDataPreProcessor(scale=0.5, resize_gt_sem_seg=False, **padding)
        resized = ours(data, True)
        sample = resized['data_samples'][0]
        right, below = size[1] - 60, size[0] - 40
        assert torch.equal(sample.gt_sem_seg.data,
                           torch.nn.functional.pad(labels, (0, right, 0, below), value=255))
        guide = sample.guide
        assert guide.image is data['inputs'][0] and guide.size == (20, 30)
        assert guide.padded == tuple(resized['inputs'].shape[2:])
        del resized  # with the network's input
        assert 'guide' not in sample


# 6. CenterNet: no scale_factor in its test metainfo, and a border.
def test_6_scale_factor_is_always_written_and_the_border_follows():
    data = det_batch(border=np.array([4, 36, 6, 54], np.float32))
    del data['data_samples'][0].scale_factor
    meta = DownsizeDetDataPreprocessor(target_size=(20, 15))(data)['data_samples'][0].metainfo
    assert meta['scale_factor'] == (0.25, 0.5)
    np.testing.assert_allclose(meta['border'], [2, 18, 1.5, 13.5])


def test_6_boxes_that_cannot_return_are_an_error():
    """mmdet's own preprocessor passes them on, and predict() raises."""
    preprocessor = DownsizeDetDataPreprocessor(target_size=(20, 15))
    data = det_batch()
    del data['data_samples'][0].scale_factor
    with pytest.raises(ValueError, match=r"has ori_shape \(\d+, \d+\) and img_shape \(\d+, \d+\), "
                       "but no scale_factor.*add 'scale_factor' to meta_keys"):
        preprocessor(data)
    preprocessor(data, training=True)  # where no boxes return
    sample = data['data_samples'][0]
    sample.set_metainfo(dict(ori_shape=sample.img_shape))
    height, width = sample.img_shape
    found = preprocessor(data)['data_samples'][0].scale_factor
    assert found == pytest.approx((15 / width, 20 / height))


def test_6_centernet_returns_to_original_coordinates():
    """A peak put into the heat map by hand comes out where it is in the original image."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS
        model = MODELS.build(Config.fromfile('configs/mini/textures/centernet_textures.py').model)
    # 300x300 is 160x160 behind the resizer and 40x40 in the heat map; the image lies within a
    # border of 30 and 60 pixels and was enlarged by 1.5 and 2 before.
    sample = det_sample(300, 300, border=np.array([30, 270, 60, 240], np.float32))
    sample.set_metainfo(dict(scale_factor=(2., 1.5)))
    sample = model.data_preprocessor(dict(inputs=[image(300, 300)], data_samples=[sample]))
    heat, size, offset = torch.zeros(1, 5, 40, 40), torch.zeros(1, 2, 40, 40), torch.zeros(
        1, 2, 40, 40)
    heat[0, 2, 20, 12], size[0, :, 20, 12] = 1, torch.tensor([8., 4.])
    result = model.bbox_head.predict_by_feat(
        [heat], [size], [offset], [s.metainfo for s in sample['data_samples']])[0]
    pixel = 300 / 40
    expected = [(8 * pixel - 60) / 2, (18 * pixel - 30) / 1.5,
                (16 * pixel - 60) / 2, (22 * pixel - 30) / 1.5]
    torch.testing.assert_close(result.bboxes[0], torch.tensor(expected), rtol=1e-4, atol=1e-3)


# 7. Semi-supervised detectors carry boxes between views with the homography.
def test_7_the_homography_leads_to_the_resized_image():
    matrix = np.array([[2, 0, 5], [0, 3, -7], [0, 0, 1]], np.float32)
    ours = MultiBranchDataPreprocessor(dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(20, 15)))
    data = det_batch(homography_matrix=matrix)
    result = ours(dict(inputs=dict(unsup=data['inputs'] + [None]),
                       data_samples=dict(unsup=data['data_samples'] + [None])), True)
    after = result['data_samples']['unsup'][0].homography_matrix
    assert isinstance(after, np.ndarray) and after.dtype == np.float32
    point = np.array([4, 9, 1])
    np.testing.assert_allclose(after @ point, (matrix @ point) * [15 / 60, 20 / 40, 1])
    assert result['inputs']['unsup'].shape == (1, 3, 20, 15)


# 8. BoxInst turns images into bytes: what overshoots would wrap around.
def test_8_bytes_do_not_wrap():
    class DownsizeBoxInst(DownsizeMixin, BoxInstDataPreprocessor):
        pass

    checkers = torch.zeros(3, 40, 60, dtype=torch.uint8)
    checkers[:, ::3], checkers[:, :, ::4] = 255, 255
    ours = DownsizeBoxInst(
        target_size=(28, 44), resizer=dict(type='FixedResizer', mode='bicubic'),
        mean=[0, 0, 0], std=[1, 1, 1], mask_stride=4)
    overshoot = ours.resizer(checkers[None].float(), (28, 44))
    assert overshoot.min() < -5
    data = dict(inputs=[checkers], data_samples=[det_sample(40, 60)])
    result = ours(data, True)
    assert result['inputs'].min() >= 0 and result['inputs'].max() <= 255
    assert result['data_samples'][0].gt_instances.masks.height == 28


# 9. An average with buffers freezes integer ones.
def test_9_the_moving_average_takes_the_resizer_along():
    for preprocessor in (DownsizeDetDataPreprocessor(scale=0.5),
                         DownsizeSegDataPreProcessor(scale=0.5)):
        model = torch.nn.ModuleDict(dict(data_preprocessor=preprocessor))
        assert all(b.is_floating_point() for b in model.buffers())
        average = ExponentialMovingAverage(model, momentum=0.5, update_buffers=True)
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(1)
        average.update_parameters(model)  # the first one copies
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(3)
        average.update_parameters(model)
        resizer = average.module['data_preprocessor'].resizer
        assert all(torch.equal(p, torch.full_like(p, 2)) for p in resizer.parameters())


# 10. Training preprocesses inside autocast, validation does not.
@pytest.mark.parametrize('resizer', ['DownsizeNet', 'FixedResizer'])
def test_10_autocast_changes_nothing(resizer):
    ours = DownsizeDetDataPreprocessor(target_size=(20, 15), resizer=dict(type=resizer))
    for p in ours.resizer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    data = det_batch()
    plain = ours(data)['inputs']
    with torch.autocast('cpu', torch.bfloat16):
        cast = ours(data, True)['inputs']
    assert cast.dtype == torch.float32 and torch.equal(cast, plain)


def test_the_preprocessor_can_be_copied_after_a_step():
    ours = DownsizeDetDataPreprocessor(target_size=(20, 15))
    ours(det_batch(), True)['inputs'].sum().backward()
    copy.deepcopy(ours)

"""Multi-scale training: ratio_range."""
from dsnet_mm.config import build_model, load_config
from dsnet_mm.models.data_preprocessors.det import DownsizeDetDataPreprocessor
from dsnet_mm.models.data_preprocessors.seg import DownsizeSegDataPreProcessor

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from samples import det_sample, image, seg_sample

NORM = dict(mean=[0.] * 3, std=[1.] * 3, bgr_to_rgb=False)


def det(**kwargs) -> DownsizeDetDataPreprocessor:
    return DownsizeDetDataPreprocessor(**NORM, **kwargs)


def sizes(preprocessor, number: int = 30, training: bool = True) -> list[tuple[int, int]]:
    """Of the resized images of so many batches."""
    data = dict(inputs=[image(200, 300)], data_samples=[DetDataSample()])
    return [preprocessor(data, training)['data_samples'][0].img_shape for _ in range(number)]


@pytest.mark.parametrize('size, of', [
    (dict(target_size=(100, 120)), (100, 120)), (dict(scale=(0.5, 0.4)), (100, 120)),
    (dict(short_edge=100), (100, 150))])
def test_sizes_vary_within_the_range_in_training_only(size, of):
    preprocessor = det(ratio_range=(0.5, 1.5), **size)
    heights, widths = zip(*sizes(preprocessor))
    assert 50 <= min(heights) < 70 and 130 < max(heights) <= 150
    assert len(set(heights)) > 15
    # One factor for both sides, each rounded once or twice.
    assert all(abs(h / of[0] - w / of[1]) < 1.6 / 100 for h, w in zip(heights, widths))
    assert set(sizes(preprocessor, 3, training=False)) == {of}


def test_the_draw_is_uniform_and_follows_the_seed():
    preprocessor = det(target_size=(1000, 1), ratio_range=(0.5, 1.5))
    drawn = torch.tensor([preprocessor._draw_ratio(preprocessor.ratio_range) for _ in range(2000)])
    quartiles = torch.quantile(drawn, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quartiles, torch.tensor([0.75, 1., 1.25]), rtol=0, atol=0.05)
    torch.manual_seed(7)
    first = sizes(preprocessor, 5)
    torch.manual_seed(7)
    assert sizes(preprocessor, 5) == first and len(set(first)) == 5


def test_the_batch_is_what_a_preprocessor_of_that_size_makes_of_it():
    data = dict(inputs=[image(90, 120), image(60, 120)],
                data_samples=[det_sample(90, 120), det_sample(60, 120)])
    pad = dict(type='BatchFixedSizePad', size=(90, 120), img_pad_value=3)
    preprocessor = det(scale=0.5, ratio_range=(0.3, 2), batch_augments=[pad])
    for seed in range(5):
        torch.manual_seed(seed)
        out = preprocessor(data, True)
        torch.manual_seed(seed)
        scale = 0.5 * float(torch.empty(()).uniform_(0.3, 2))
        expected = det(scale=scale, batch_augments=[pad])(data, True)
        assert torch.equal(out['inputs'], expected['inputs'])
        for a, b in zip(out['data_samples'], expected['data_samples']):
            assert a.scale_factor == b.scale_factor and a.img_shape == b.img_shape
            assert torch.equal(a.gt_instances.bboxes, b.gt_instances.bboxes)


def test_fixed_sizes_of_mmseg_follow():
    preprocessor = DownsizeSegDataPreProcessor(
        **NORM, scale=0.5, ratio_range=(0.3, 1.9), size=(100, 100), pad_val=0, seg_pad_val=255,
        test_cfg=dict(size=(100, 100)))
    data = dict(inputs=[image(100, 100)], data_samples=[seg_sample(100, 100)])
    seen = set()
    for _ in range(5):
        out = preprocessor(data, True)
        shape = tuple(out['inputs'].shape[-2:])
        assert shape == tuple(out['data_samples'][0].img_shape)
        assert tuple(out['data_samples'][0].gt_sem_seg.shape) == shape
        seen.add(shape)
    assert len(seen) > 2
    assert tuple(preprocessor(data, False)['inputs'].shape[-2:]) == (50, 50)


@pytest.mark.parametrize('ratio_range, error', [
    ((0, 1), ValueError), ((1, 0.5), ValueError), ((0.5, float('inf')), ValueError),
    ((float('nan'), 1), ValueError), (0.5, TypeError), ('ab', TypeError), ((1, 2, 3), TypeError),
    ((True, 2), TypeError), (('0.5', 2), TypeError)])
def test_a_wrong_range_is_an_error_that_names_it(ratio_range, error):
    with pytest.raises(error, match='ratio_range must be') as info:
        det(scale=0.5, ratio_range=ratio_range)
    assert repr(ratio_range) in str(info.value)


def test_a_detector_learns_at_many_sizes_with_one_resizer():
    model = build_model(load_config('configs/mini/textures/refinedet_textures.py', {
        'model.data_preprocessor.target_size': (80, 80),
        'model.data_preprocessor.ratio_range': (0.8, 1.6)}))
    model.init_weights()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3))
    resizer, shapes = model.data_preprocessor.resizer, set()
    model.backbone.register_forward_pre_hook(lambda _, inputs: shapes.add(inputs[0].shape[-2:]))
    for _ in range(4):
        sample = DetDataSample(metainfo=dict(img_shape=(150, 150), ori_shape=(150, 150)))
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[20., 30., 100., 120.]]),
                                           labels=torch.tensor([1]))
        before = resizer.logits.weight.clone()
        losses = model.train_step(dict(inputs=[image(150, 150)] * 2,
                                       data_samples=[sample, sample.clone()]), optimizer)
        assert all(loss.isfinite() for loss in losses.values())
        assert not torch.equal(resizer.logits.weight, before)
    assert len(shapes) > 2

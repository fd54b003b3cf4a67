"""Random images, data samples and config values: what comes back is whole, or refused by name.

    bash tools/run_tests.sh tests/test_fuzz.py -m slow     # 28,000 cases
"""
import copy
import math
import warnings

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeResize, DownsizeSegDataPreProcessor
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import OutputSize
from dsnet_mm.transforms import Downsize

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

# Few in the fast suite; many for `-m slow`.
BOTH = pytest.mark.parametrize('cases', [
    pytest.param(50, id='few'), pytest.param(7000, id='many', marks=pytest.mark.slow)])
SIDES = st.integers(1, 24)
# What a bad input may raise: never an error of the machinery below.
REFUSALS = (ValueError, TypeError)


def fuzz(cases: int, **strategies: st.SearchStrategy):
    def wrap(test):
        return settings(max_examples=cases, deadline=None, derandomize=cases < 100,
                        suppress_health_check=list(HealthCheck))(given(**strategies)(test))

    return wrap


@st.composite
def images(draw, channels: int | None = None) -> Tensor:
    """(C, H, W) of any kind of numbers and layout."""
    shape = [draw(st.integers(1, 4)) if channels is None else channels, draw(SIDES), draw(SIDES)]
    dtype = draw(st.sampled_from([torch.uint8, torch.float32, torch.float16, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    scale = draw(st.sampled_from([1e-42, 1e-6, 1., 255., 6e4, 1e9]))
    image = torch.rand(shape, generator=generator) * (255 if dtype == torch.uint8 else scale)
    kind = draw(st.sampled_from(['rows', 'columns', 'channels last', 'flat', 'spoilt']))
    if kind == 'spoilt' and dtype != torch.uint8:
        place = draw(st.integers(0, image.numel() - 1))
        image.view(-1)[place] = draw(st.sampled_from([math.nan, math.inf, -math.inf, 1e30]))
    image = image.to(dtype)
    if kind == 'columns':
        image = image.mT.contiguous().mT
    if kind == 'channels last':
        image = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    if kind == 'flat':
        image = image[:, :1, :1].expand(shape)
    return image


SIZES = st.one_of(
    st.fixed_dictionaries(dict(target_size=st.tuples(SIDES, SIDES))),
    st.fixed_dictionaries(dict(scale=st.floats(1e-6, 4))),
    st.fixed_dictionaries(dict(scale=st.tuples(st.floats(1e-6, 4), st.floats(1e-6, 4)))),
    st.fixed_dictionaries(dict(short_edge=st.integers(1, 12))))
RESIZERS = st.one_of(
    st.fixed_dictionaries(
        dict(type=st.just('DownsizeNet')),
        optional=dict(num_convs=st.sampled_from([2, 3, 4]), channels=st.integers(1, 6),
                      activation=st.sampled_from(['softmax', 'sigmoid']),
                      bilinear_prior=st.booleans(), use_distance=st.booleans(),
                      with_cp=st.booleans())),
    st.fixed_dictionaries(
        dict(type=st.just('DownsizeNetV2')),
        optional=dict(channels=st.integers(1, 6),
                      prior=st.sampled_from(['bilinear', 'antialias']))),
    st.fixed_dictionaries(
        dict(type=st.just('FixedResizer'),
             mode=st.sampled_from(['nearest', 'bilinear', 'bicubic', 'area']))),
    st.sampled_from([dict(type='MULLER'), dict(type='TalebiMilanfarResizer', channels=4)]))
BOXES = st.lists(st.tuples(*4 * [st.one_of(st.floats(-50, 50, width=32), st.just(math.nan),
                                           st.just(math.inf), st.integers(-9, 40).map(float))]),
                 max_size=4)


def is_sound(image: Tensor) -> bool:
    return bool((image.double().abs() <= 1e12).all())


def unchanged(now: BaseDataElement | Tensor, before: BaseDataElement | Tensor) -> bool:
    if isinstance(now, Tensor):
        return now.dtype == before.dtype and torch.equal(now.nan_to_num(3), before.nan_to_num(3))
    return set(now.all_keys()) == set(before.all_keys()) and all(
        unchanged(now.get(key), before.get(key))
        if isinstance(now.get(key), (BaseDataElement, Tensor))
        else np.array_equal(now.get(key), before.get(key)) for key in now.all_keys())


def moved(resizer: torch.nn.Module, seed: int) -> None:
    """As after training: no weight is zero."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in resizer.parameters():
            parameter += 0.5 * torch.randn_like(parameter)


@BOTH
def test_detection(cases):
    tried = []

    @fuzz(cases, batch=st.lists(st.tuples(images(3), BOXES), max_size=3), size=SIZES,
          resizer=RESIZERS, training=st.booleans(), seed=st.integers(0, 9))
    def run(batch, size, resizer, training, seed):
        tried.append(None)
        ours = DownsizeDetDataPreprocessor(
            resizer=resizer, mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True, **size)
        moved(ours.resizer, seed)
        ours.train(training)
        samples = []
        for image, boxes in batch:
            sample = DetDataSample(metainfo=dict(img_shape=tuple(image.shape[-2:])))
            sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4))
            samples.append(sample)
        data = dict(inputs=[image for image, _ in batch], data_samples=samples)
        before = copy.deepcopy(data)
        sound = batch and all(is_sound(image) for image, _ in batch) and not (
            training and not all(math.isfinite(x) for _, boxes in batch for b in boxes for x in b))
        alone = resizer['type'] == 'TalebiMilanfarResizer' and training
        try:
            result = ours(data, training)
        except REFUSALS as error:
            # Batch normalisation of one pixel has no statistics, as PyTorch says itself.
            assert not sound or alone, error
            assert str(error)
        else:
            assert sound
            assert result['inputs'].isfinite().all()
            for sample, (image, boxes) in zip(result['data_samples'], batch):
                assert sample.img_shape == OutputSize(**size)(*image.shape[-2:])
                expected = torch.tensor(boxes).reshape(-1, 4)
                if training:
                    (h, w), (height, width) = sample.img_shape, image.shape[-2:]
                    expected = expected * torch.tensor([w / width, h / height] * 2)
                torch.testing.assert_close(sample.gt_instances.bboxes, expected, equal_nan=True)
        for now, then in zip(data['inputs'], before['inputs']):
            assert unchanged(now, then)
        for now, then in zip(data['data_samples'], before['data_samples']):
            assert unchanged(now, then)

    run()
    assert len(tried) >= cases


@BOTH
def test_segmentation(cases):
    tried = []

    @fuzz(cases, image=images(3), labels=st.tuples(st.integers(0, 40), st.integers(0, 40)),
          same=st.booleans(), size=SIZES, divisor=st.sampled_from([1, 8]), resize=st.booleans(),
          number=st.integers(1, 2))
    def run(image, labels, same, size, divisor, resize, number):
        tried.append(None)
        labels = tuple(image.shape[-2:]) if same else labels
        ours = DownsizeSegDataPreProcessor(size_divisor=divisor, resize_gt_sem_seg=resize, **size)
        sample = SegDataSample(metainfo=dict(img_shape=tuple(image.shape[-2:])))
        sample.gt_sem_seg = PixelData(data=torch.randint(256, (1, *labels)))
        data = dict(inputs=number * [image], data_samples=number * [sample])
        before = copy.deepcopy(data)
        small = OutputSize(**size)(*image.shape[-2:])
        padded = any(side % divisor for side in small)
        # What is refused: see the preprocessor's docstring.
        sound = is_sound(image) and (not resize or 0 not in labels)
        try:
            result = ours(data, training=True)
        except REFUSALS as error:
            assert not sound or 0 in labels, error
        else:
            assert result['inputs'].isfinite().all() and is_sound(image)
            found = result['data_samples'][0].gt_sem_seg.data
            if padded and same:
                large = [round(a * b / c) for a, b, c in zip(labels, result['inputs'].shape[-2:],
                                                             small)]
                assert list(found.shape[-2:]) == (
                    list(result['inputs'].shape[-2:]) if resize else large)
            elif not (resize or padded):
                assert torch.equal(found, before['data_samples'][0].gt_sem_seg.data)
            assert set(found.unique().tolist()) <= {
                255, *before['data_samples'][0].gt_sem_seg.data.unique().tolist()}
        assert unchanged(data['inputs'][0], before['inputs'][0])
        assert unchanged(data['data_samples'][0], before['data_samples'][0])

    run()
    assert len(tried) >= cases


@BOTH
def test_transforms(cases):
    tried = []

    @fuzz(cases, image=images(), boxes=st.lists(st.tuples(*4 * [st.floats(0, 40, width=32)]),
                                                max_size=3),
          size=SIZES, resizer=RESIZERS, seed=st.integers(0, 9))
    def run(image, boxes, size, resizer, seed):
        tried.append(None)
        network = build_resizer(resizer)
        moved(network, seed)
        channels, height, width = image.shape
        small = OutputSize(**size)(height, width)
        sound = is_sound(image) and (channels in (1, 3) or resizer['type'] == 'FixedResizer')
        boxes = torch.tensor(boxes).reshape(-1, 4)
        given = dict(image=tv_tensors.Image(image), boxes=tv_tensors.BoundingBoxes(
            boxes, format='XYXY', canvas_size=(height, width)))
        arguments = {'size' if key == 'target_size' else key: v for key, v in size.items()}
        before = copy.deepcopy(given)
        try:
            found = Downsize(**arguments, resizer=network)(given)
        except REFUSALS as error:
            assert not sound, error
            assert str(error)
        else:
            assert sound
            assert found['image'].dtype == image.dtype and found['image'].shape[1:] == small
            assert found['image'].isfinite().all() or image.dtype == torch.float16
            expected = v2.Resize(small)(given['boxes'])
            assert torch.equal(found['boxes'], expected) and expected.canvas_size == small
        for key, value in given.items():
            assert unchanged(value.as_subclass(Tensor), before[key].as_subclass(Tensor))
        results = dict(img=image.permute(1, 2, 0).numpy(), img_shape=(height, width))
        resize = dict(scale=small[::-1], keep_ratio=False, resizer=resizer)
        try:
            with DefaultScope.overwrite_default_scope('mmdet'):
                found = DownsizeResize(**resize)(results)
        except REFUSALS as error:
            assert not sound, error
        else:
            assert sound and found['img'].shape == (*small, channels)
        assert unchanged(image, before['image'].as_subclass(Tensor))

    run()
    assert len(tried) >= cases


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.floats(-2, 9), st.floats(),
    st.text(max_size=4), st.integers(), st.binary(max_size=3),
    st.lists(st.integers(-2, 30), max_size=4),
    st.tuples(st.integers(1, 30), st.integers(1, 30)), st.tuples(st.floats(), st.floats()),
    st.sampled_from(['auto', 'antialias', 'softmax', 'sigmoid', 'area', 'bilinear', '2',
                     np.int64(4), np.float32(0.5), np.array([4, 5]), torch.tensor(2), {},
                     {1: 2, 3: 4}]))
OPTIONS = ('num_convs', 'channels', 'activation', 'use_texture', 'use_distance', 'in_channels',
           'bilinear_prior', 'prior', 'window', 'with_cp', 'mode', 'antialias', 'num_layers',
           'num_blocks', 'value_range', 'nonsense')


@BOTH
def test_config_values(cases):
    tried = []

    @fuzz(cases, kind=st.sampled_from(['DownsizeNet', 'DownsizeNetV2', 'FixedResizer', 'MULLER',
                                       'TalebiMilanfarResizer', 'Nonsense', '']),
          options=st.dictionaries(st.sampled_from(OPTIONS), ANYTHING, max_size=2),
          size=st.dictionaries(st.sampled_from(['target_size', 'scale', 'short_edge']), ANYTHING,
                               max_size=2))
    def run(kind, options, size):
        tried.append(None)
        if any(isinstance(v, int) and v > 64 for v in options.values()):
            return  # a network as wide as that is no mistake that can be told from a wish
        image = torch.rand(1, 3, 5, 7)
        given = copy.deepcopy((options, size))
        try:
            out = OutputSize(**size)(5, 7)
        except REFUSALS as error:
            assert str(error)
            out = 2, 3
        else:
            assert all(type(side) is int and side >= 1 for side in out)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # an initialisation of nothing
                resizer = build_resizer(dict(type=kind, **options)).eval()
                if max(out) > 64:
                    return
                result = resizer(image, out)
        except REFUSALS as error:
            assert str(error)
        else:
            assert result.shape == (1, 3, *out) and result.isfinite().all()
        assert repr(given) == repr((options, size))

    run()
    assert len(tried) >= cases

"""The transform for OpenMMLab's data pipelines."""
import copy
import pickle
from pathlib import Path

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeNet, DownsizeNetV2
from dsnet_mm.config import build_model, load_config
from dsnet_mm.resizers import ConvexResizer, pretrained

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import Resize as MMCVResize  # noqa: F401  (registers it)
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import TRANSFORMS as DET_TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.utils import register_all_modules as register_mmdet
from mmengine.dataset import Compose
from mmengine.optim import OptimWrapper
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import Runner
from mmseg.utils import register_all_modules as register_mmseg

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'

register_mmdet(init_default_scope=False)
register_mmseg(init_default_scope=False)


@pytest.fixture(scope='module', params=[DownsizeNet, DownsizeNetV2])
def weights(request, tmp_path_factory) -> str:
    torch.manual_seed(0)
    net = request.param()
    torch.nn.init.normal_(net.logits.weight, std=5)
    file = tmp_path_factory.mktemp('weights') / 'trained.safetensors'
    file.write_bytes(pretrained.to_bytes(net, {}))
    return str(file)


def build(scope: str | None, *transforms: dict) -> Compose:
    with DefaultScope.overwrite_default_scope(scope):
        return Compose(list(transforms))


def results(scope: str) -> dict:
    """What a pipeline has loaded."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    loaded = dict(img=image, img_shape=(60, 90), ori_shape=(60, 90), flip=False)
    labels = rng.integers(0, 5, (60, 90), dtype=np.uint8)
    corners = np.array([5., 5, 40, 5, 40, 30])
    boxes = np.array([[5, 6, 50, 40], [0, 0, 90, 60]], np.float32)
    if scope == 'mmdet':
        loaded.update(gt_bboxes=HorizontalBoxes(boxes), gt_seg_map=labels,
                      gt_masks=PolygonMasks([[corners], [corners]], 60, 90),
                      homography_matrix=np.diag([2, 1, 1]).astype(np.float32))
    elif scope == 'mmseg':
        loaded.update(gt_seg_map=labels, seg_fields=['gt_seg_map'])
    else:
        loaded.update(gt_bboxes=boxes, gt_seg_map=labels,
                      gt_keypoints=np.array([[[30., 20, 1]]], np.float32))
    return loaded


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, HorizontalBoxes):
        assert torch.equal(ours.tensor, theirs.tensor)
    elif isinstance(ours, (PolygonMasks, BitmapMasks)):
        assert np.array_equal(ours.to_ndarray(), theirs.to_ndarray())
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', None])
@pytest.mark.parametrize('size', [
    dict(scale=(45, 30)), dict(scale=(50, 25), keep_ratio=True), dict(scale_factor=0.4)])
def test_all_results_but_the_image_are_those_of_resize(scope, size, weights):
    ours = build(scope, dict(type='dsnet_mm.DownsizeResize', resizer=dict(weights=weights), **size))
    theirs = build(scope, dict(type='Resize', **size))
    given = results(scope)
    result, expected = ours(copy.deepcopy(given)), theirs(copy.deepcopy(given))
    assert list(result) == list(expected)
    for key in set(expected) - {'img'}:
        assert_same(result[key], expected[key])
    assert result['img'].dtype == np.uint8 and result['img'].shape == expected['img'].shape
    assert result['img'].flags.c_contiguous
    image = torch.from_numpy(given['img']).permute(2, 0, 1)[None]
    learned = ConvexResizer.from_pretrained(weights)(image, expected['img_shape'])[0]
    assert (torch.from_numpy(result['img']).permute(2, 0, 1) - learned).abs().max() <= 0.501


def test_untrained_is_bilinear_interpolation():
    given = results('mmdet')
    result = build('mmdet', dict(type='dsnet_mm.DownsizeResize', scale=(45, 30)))(
        copy.deepcopy(given))
    image = torch.from_numpy(given['img']).permute(2, 0, 1)[None].float()
    expected = F.interpolate(image, (30, 45), mode='bilinear')[0].permute(1, 2, 0)
    assert np.abs(result['img'] - expected.numpy()).max() <= 0.501


def test_is_what_the_preprocessor_does(weights, data_root):
    image = cv2.imread(str(data_root / 'bccd/JPEGImages/BloodImage_00000.jpg'))  # BGR
    stock = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
    pipeline = build('mmdet', dict(type='dsnet_mm.DownsizeResize', scale=(160, 120),
                                   resizer=dict(weights=weights)),
                     dict(type='PackDetInputs', meta_keys=('img_shape', 'scale_factor')))
    packed = pipeline(dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]))
    early = DetDataPreprocessor(**stock)(
        dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
    late = DownsizeDetDataPreprocessor(
        target_size=(120, 160), resizer=dict(weights=weights), **stock)(
        dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)]))
    # In a pipeline the image is rounded.
    assert (early['inputs'] - late['inputs']).abs().max() <= 0.501 / 57
    assert early['data_samples'][0].scale_factor == (0.25, 0.25)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_sizes_that_vary(scope):
    pipeline = build(scope, dict(type='RandomResize', scale=[(30, 20), (60, 40)], keep_ratio=False,
                                 resize_type='dsnet_mm.DownsizeResize'))
    shapes = set()
    for _ in range(8):
        result = pipeline(results(scope))
        assert result['img'].shape[:2] == result['gt_seg_map'].shape == result['scale'][::-1]
        shapes.add(result['img'].shape)
    assert len(shapes) > 2


def test_gray_and_floating_point_images(weights):
    pipeline = build(None, dict(type='dsnet_mm.DownsizeResize', scale=(45, 30),
                                resizer=dict(weights=weights)))
    gray = np.random.default_rng(0).random((60, 90), dtype=np.float32)
    result = pipeline(dict(img=gray))['img']
    assert result.shape == (30, 45) and result.dtype == np.float32
    as_colors = pipeline(dict(img=np.stack([gray] * 3, axis=-1)))['img']
    np.testing.assert_allclose(result, as_colors[..., 0], atol=1e-6)


def test_survives_pickling_and_shows_itself():
    transform = DET_TRANSFORMS.build(dict(
        type='dsnet_mm.DownsizeResize', scale=(45, 30), resizer=dict(type='DownsizeNetV2')))
    again = pickle.loads(pickle.dumps(transform))
    given = dict(img=results('mmseg')['img'])
    assert np.array_equal(again(dict(given))['img'], transform(dict(given))['img'])
    assert 'scale=(45, 30)' in repr(transform) and 'DownsizeNetV2' in repr(transform)


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(scale=(4, 3), interpolation='area'), ValueError, "interpolation='area'"),
    (dict(scale=(4, 3), resizer=dict(type='Unknown')), ValueError, 'unknown resizer'),
    (dict(scale=(4, 3), resizer=dict(weights='none-such')), FileNotFoundError, 'none-such'),
    (dict(), AssertionError, 'scale'),  # mmcv's own
])
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        TRANSFORMS.build(dict(type='dsnet_mm.DownsizeResize', **kwargs))


def test_trains_and_predicts_with_a_model_and_workers(weights, data_root):
    """mini RefineDet with the resizer in its pipelines instead of in front of it."""
    cfg = load_config(str(CONFIGS / 'bccd/refinedet_bccd.py'), dict(data_root=f'{data_root}/bccd/'))
    stock = dict(cfg.model.data_preprocessor, type='DetDataPreprocessor')
    del stock['target_size'], stock['resizer']
    cfg.model.data_preprocessor = stock
    loaders = {}
    for name, index in (('train', 2), ('val', 1)):
        loader = cfg[f'{name}_dataloader']
        resize = loader.dataset.pipeline[index]
        assert resize.type == 'Resize'
        resize.update(type='dsnet_mm.DownsizeResize', scale=(160, 160),
                      resizer=dict(weights=weights))
        loader.update(num_workers=2, batch_size=2)
        with DefaultScope.overwrite_default_scope('mmdet'):
            loaders[name] = Runner.build_dataloader(loader, seed=0)
    model = build_model(cfg)
    model.init_weights()
    batch = next(iter(loaders['train']))
    assert all(image.shape == (3, 160, 160) for image in batch['inputs'])
    losses = model.train_step(batch, OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3)))
    assert all(value.isfinite() for value in losses.values())
    with torch.no_grad():
        predictions = model.val_step(next(iter(loaders['val'])))
    boxes = torch.cat([sample.pred_instances.bboxes for sample in predictions])
    # In the original image of 640x480 pixels again.
    assert boxes[:, [0, 2]].max() > 320 and boxes[:, [1, 3]].max() > 240

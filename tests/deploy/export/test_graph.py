"""The graphs of whole models find in real images what the models' own ``predict`` finds there."""
from dsnet_mm.config import load_config
from dsnet_mm.deploy.errors import CannotExport, Disagrees
from dsnet_mm.deploy.export.agreement import TOLERANCES, compare_boxes
from dsnet_mm.deploy.export.graph import build_graph
from dsnet_mm.deploy.export.reference import check_against_model
from dsnet_mm.deploy.export.sample_images import load_images, synthetic_images
from dsnet_mm.deploy.export.writer import describe, trace
from dsnet_mm.deploy.runtime.images import pick_images

import numpy as np
import pytest
import torch
from deployed import Eager, build
from new_style import new_style

SIZE = 'model.data_preprocessor.target_size'
SCALE = 'model.data_preprocessor.scale'
SHORT = 'model.data_preprocessor.short_edge'
RESIZER = 'model.data_preprocessor.resizer'
BCCD, CAMVID, DRIVE = 'bccd/JPEGImages', 'camvid/img_dir/val', 'drive/images/validation'
# mmdet's own two-stage detector, small, with a box of its own for each class.
PYRAMID = {
    'model.backbone': dict(
        type='ResNet', depth=18, stem_channels=8, base_channels=8, _delete_=True),
    'model.neck': dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    'model.rpn_head.in_channels': 16,
    'model.rpn_head.anchor_generator': dict(
        type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64],
        _delete_=True),
    'model.roi_head.bbox_roi_extractor': dict(
        type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        out_channels=16, featmap_strides=[4, 8, 16, 32], finest_scale=14, _delete_=True),
    'model.roi_head.bbox_head.in_channels': 16,
    'model.roi_head.bbox_head.reg_class_agnostic': False,
}
DETAIL = {RESIZER: dict(type='DownsizeNetV2', detail_channels=8),
          'model.backbone.type': 'dsnet_mm.DetailBackbone'}
MODELS = {
    'ATSS, detail maps, padded': ('atss-mobilenetv2_cards', {
        SIZE: None, SCALE: 0.4, 'model.data_preprocessor.pad_size_divisor': 32, **DETAIL,
        'model.backbone.backbone': 'MobileNetV2'}, 'cards/JPEGImages'),
    'U-Net, detail maps, guided head': ('unet-guided_drive', {
        **DETAIL, 'model.backbone.backbone': 'UNet'}, DRIVE),
    'ATSS': ('atss-mobilenetv2_bccd', {}, BCCD),
    'ATSS, scale, padded': ('atss-mobilenetv2_cards', {
        SIZE: None, SCALE: 0.4, 'model.data_preprocessor.pad_size_divisor': 32},
        'cards/JPEGImages'),
    'ATSS, short edge': ('atss_cards', {SIZE: None, SHORT: 130}, 'cards/JPEGImages'),
    'CenterNet': ('centernet-mobilenetv2_bccd', {}, BCCD),
    'CenterNet with DCN': ('centernet_bccd', {
        'model.data_preprocessor.pad_size_divisor': 32}, BCCD),
    'YOLOX': ('yolox-mobilenetv2_bccd', {}, BCCD),
    'RefineDet': ('refinedet_bccd', {}, BCCD),
    'DETR': ('detr_bccd', {}, BCCD),
    'Light-Head R-CNN': ('lighthead_bccd', {}, BCCD),
    'Light-Head R-CNN, padded': ('lighthead_bccd', {
        SHORT: None, SCALE: 0.4, 'model.data_preprocessor.pad_size_divisor': 32}, BCCD),
    'Faster R-CNN on a pyramid': ('lighthead_bccd', PYRAMID, BCCD),
    'DeepLabv3+': ('deeplabv3plus_camvid', {}, CAMVID),
    'DeepLabv3+, V2': ('deeplabv3plus_camvid', {f'{RESIZER}.type': 'DownsizeNetV2'}, CAMVID),
    'DeepLabv3+, bilinear': ('deeplabv3plus_camvid', {f'{RESIZER}.type': 'FixedResizer'}, CAMVID),
    'learned decoder, short edge': ('deeplabv3plus-learned_camvid', {SCALE: None, SHORT: 126},
                                    CAMVID),
    'FCN': ('fcn-mobilenetv2_camvid', {}, CAMVID),
    'FCN-8s': ('fcn_camvid', {}, CAMVID),
    'U-Net, padded': ('unet_drive', {}, DRIVE),
    'guided head, padded': ('unet-guided_drive', {}, DRIVE),
    'guided head, texture of a smaller image': ('unet-guided_drive', {
        'model.decode_head.upsampling.density': 2}, DRIVE),
    'guided head, V2, short edge': ('unet-guided_drive', {
        SCALE: None, SHORT: 130, f'{RESIZER}.type': 'DownsizeNetV2',
        'model.type': 'dsnet_mm.GuidedEncoderDecoder'}, DRIVE),
    'guided head, a Resize before it': ('unet-guided_drive', {
        'test_dataloader.dataset.pipeline.0.to_float32': True,  # OpenCV's bytes are rounded
        'test_dataloader.dataset.pipeline.1': dict(type='Resize', scale=(300, 260))}, DRIVE),
    'bilinear in the place of a guided head': ('unet-guided_drive', {
        'model.decode_head.guided': False}, DRIVE),
}


@pytest.mark.parametrize('name', MODELS)
def test_finds_what_the_model_finds(name, data_root):
    config, options, folder = MODELS[name]
    model, cfg = build(config, options)
    graph = Eager(build_graph(model, cfg))
    check_against_model(graph, model, cfg, load_images(pick_images(data_root / folder, 2)))
    each = list(synthetic_images((150, 200)))  # several images at once are as each of them
    for image, found in zip(each, graph.batch(np.stack(each))):
        expected = graph(image)
        if graph.metadata.task == 'detection':  # in any order where scores are equal
            difference = compare_boxes(found, expected, graph, TOLERANCES['float32'], -np.inf)
            assert not difference.wrong, difference.example
        else:
            np.testing.assert_array_equal(found['labels'], expected['labels'])


@pytest.mark.parametrize('name', ['atss-mobilenetv2_bccd', 'unet_drive'])
def test_types_that_are_classes(name, tmp_path):
    model, cfg = build(name)
    (tmp_path / 'new.py').write_text(new_style(cfg))
    new = load_config(str(tmp_path / 'new.py'))
    assert new.default_scope is None
    graph = build_graph(model, new)
    check_against_model(Eager(graph), model, new, synthetic_images((150, 200)))
    assert describe(graph, new, None, None) == describe(graph, cfg, None, None)
    step = dict(type=type('Pad', (), {}))
    new.test_dataloader.dataset.pipeline.insert(1, step)
    with pytest.raises(CannotExport, match='test pipeline step .*Pad.*remove it'):
        build_graph(model, new)


def test_layout_and_order():
    model, cfg = build('fcn-mobilenetv2_camvid')
    [image, *_] = synthetic_images()
    image = torch.from_numpy(image)[None]
    with torch.no_grad():
        [expected] = build_graph(model, cfg)(image)
        found = build_graph(model, cfg, 'nchw', 'rgb', scores=True)(
            image.flip(3).permute(0, 3, 1, 2))
    assert torch.equal(found[0], expected) and found[0].dtype == torch.uint8
    assert found[1].shape == (1, 11, 90, 120)


def test_bytes_that_the_pipeline_resizes():
    """OpenCV rounds them to bytes again."""
    model, cfg = build('atss-mobilenetv2_bccd')
    cfg.test_dataloader.dataset.pipeline[0].to_float32 = False
    graph = build_graph(model, cfg)
    [image, *_] = synthetic_images()
    seen = graph.preprocessing.steps(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert seen.shape == (1, 3, 300, 300) and torch.equal(seen, seen.round())


def broken(name: str, options: dict | None = None, **changes: object) -> None:
    model, cfg = build(name, options)
    if 'step' in changes:
        cfg.test_dataloader.dataset.pipeline.insert(1, changes.pop('step'))
    size, dataset_meta = changes.pop('size', None), changes.pop('dataset_meta', None)
    graph = build_graph(model, cfg, **changes)
    describe(graph, cfg, size, dataset_meta)
    if size is None and options and SHORT in options:
        trace(graph, None)
    with torch.no_grad():
        graph(torch.zeros(1, 150, 200, 3, dtype=torch.uint8))


@pytest.mark.parametrize('arguments, message', [
    (('lighthead_bccd', {'model.roi_head.type': 'DoubleHeadRoIHead',
                         'model.roi_head.reg_roi_scale_factor': 1.3}),
     'FasterRCNN.predict with DoubleHeadRoIHead.predict cannot be exported: export the model wi'),
    (('lighthead_bccd', {'model.test_cfg.rcnn.nms.type': 'soft_nms'}), "nms=.*soft_nms.*set it "),
    (('lighthead_bccd', {'model.roi_head.mask_head': dict(type='FCNMaskHead', in_channels=64)}),
     'the masks of FCNMaskHead cannot be exported'),
    (('atss-mobilenetv2_bccd', {'model.test_cfg.nms.type': 'soft_nms'}), "nms=.*soft_nms.*set it "),
    (('unet_drive', {'model.test_cfg.mode': 'slide'}), "test_cfg.mode='slide' cannot be exported"),
    (('detr_bccd', {'model.data_preprocessor.pad_size_divisor': 32}), 'set .*pad_size_divisor=1'),
    (('unet_drive', {'model.data_preprocessor.test_cfg': {'size': (300, 300), '_delete_': True}}),
     'padding to a fixed size'),
    (('deeplabv3plus_camvid', {SCALE: None, SHORT: 126}), r'short_edge=126 .*--size H W'),
], ids=['two heads', 'soft suppression of the second stage', 'masks', 'soft suppression', 'windows',
        'padded DETR', 'padding to a size', 'open size'])
def test_what_cannot_be_exported(arguments, message):
    with pytest.raises(CannotExport, match=message):
        broken(*arguments)


@pytest.mark.parametrize('changes, message', [
    (dict(step=dict(type='Pad', size_divisor=32)), 'test pipeline step .*Pad.*remove it'),
    (dict(layout='hwc'), "layout='hwc' cannot be exported: use one of"),
    (dict(channel_order='grey'), "channel_order='grey' cannot be exported"),
    (dict(number=5), 'a number of boxes of a segmenter'),
])
def test_arguments_that_cannot_be_exported(changes, message):
    with pytest.raises(CannotExport, match=message):
        broken('fcn-mobilenetv2_camvid', **changes)


def test_a_size_that_no_graph_rounds():
    model, cfg = build('unet-guided_drive', {'model.decode_head.upsampling.density': 2})
    with pytest.raises(CannotExport, match=r'(?s)GuidedUpsampling.*density=2.*--size H W'):
        trace(build_graph(model, cfg), None)


def test_a_model_without_resizer():
    with pytest.raises(CannotExport, match='DetDataPreprocessor, which has no resizer'):
        broken('atss-mobilenetv2_bccd', {'model.data_preprocessor': dict(
            type='mmdet.DetDataPreprocessor', _delete_=True)})


@pytest.mark.parametrize('name, part, message', [
    ('atss-mobilenetv2_bccd', 'boxes', r'on image 0 of 300x400 pixels .* 0.2 pixels off'),
    ('atss-mobilenetv2_bccd', 'scores', 'differs by 0.002 in its score|it finds label'),
    ('atss-mobilenetv2_bccd', 'labels', 'the model finds label'),
    ('unet_drive', 'labels', 'of the pixels have another label, by up to'),
])
def test_what_disagrees_is_noticed(name, part, message):
    model, cfg = build(name)
    eager = Eager(build_graph(model, cfg))
    changes = dict(boxes=0.2, scores=0.002)
    check_against_model(eager, model, cfg, synthetic_images())
    changed = Changed(eager, 'float32', part, changes.get(part))
    with pytest.raises(Disagrees, match=message):
        check_against_model(changed, model, cfg, synthetic_images())


class Changed(Eager):
    """A file that finds something else: other labels, or numbers that are off by so much; of a
    share of the detections or rows of pixels."""

    def __init__(self, eager: Eager, precision: str, part: str, change: float | None,
                 share: float = 1) -> None:
        super().__init__(eager.graph, precision)
        self.eager, self.part, self.change, self.share = eager, part, change, share

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        found = dict(self.eager(image))
        value = found[self.part] = found[self.part].copy()
        value = value[:round(self.share * len(value))]
        value[:] = 1 - value if self.change is None else value + self.change
        return found


@pytest.mark.parametrize('name, part, change, share, message', [
    ('atss-mobilenetv2_bccd', 'boxes', 0.8, 1, None),
    ('atss-mobilenetv2_bccd', 'boxes', 1.2, 1, '1.2 pixels off'),
    ('atss-mobilenetv2_bccd', 'boxes', 9, 0.01, None),
    ('atss-mobilenetv2_bccd', 'boxes', 9, 0.1, 'pixels off'),
    ('atss-mobilenetv2_bccd', 'scores', 0.008, 1, None),
    ('atss-mobilenetv2_bccd', 'scores', 0.02, 1, 'differs by 0.02 in its score|it finds label'),
    ('unet_drive', 'labels', None, 0, None),
    ('unet_drive', 'labels', None, 0.01, 'of the pixels have another label'),
])
def test_half_precision_may_differ_more(name, part, change, share, message):
    model, cfg = build(name)
    changed = Changed(Eager(build_graph(model, cfg)), 'float16', part, change, share)
    if message is None:
        check_against_model(changed, model, cfg, synthetic_images())
    else:
        with pytest.raises(Disagrees, match=message):
            check_against_model(changed, model, cfg, synthetic_images())

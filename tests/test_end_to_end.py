"""Eight images overfit through the whole pipeline are found again in the original images.

The images have different sizes, are resized with their ratio kept, shrunk by a learned resizer
and padded; CenterNet also wants a border around them at test. Every wrong step of the way back to
original coordinates costs far more than these tests allow.
"""
import xml.etree.ElementTree as ET
from pathlib import Path

from dsnet_mm.config import load_config

import cv2
import make_dataset as tool
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]

SIZES = [(260, 200), (200, 260), (240, 240), (180, 280)]  # width and height in pixels

DETAIL = {'model.data_preprocessor.resizer': dict(type='DownsizeNetV2', detail_channels=8),
          'model.backbone.type': 'dsnet_mm.DetailBackbone'}
CLASSES = ('blue', 'green')
COLORS = np.array([[0, 0, 0], [190, 0, 0], [0, 190, 0]])  # BGR
SIDE = 160


@pytest.fixture(scope='module')
def eight_images(tmp_path_factory) -> Path:
    """The built-in data set in several sizes and ratios; train and val are the same.

    This is about places, so the objects are made easy: large, of two classes, in colours
    on grey.
    """
    root = tmp_path_factory.mktemp('eight') / 'textures'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tool, 'MIN_SIDE', 90)
        patch.setattr(tool, 'MAX_SIDE', 150)
        tool.make_dataset(root, 8, 1, seed=3)
    names = (root / 'ImageSets/Main/train.txt').read_text()
    (root / 'ImageSets/Main/val.txt').write_text(names)
    for i, name in enumerate(names.split()):
        size = SIZES[i % len(SIZES)]
        image_path = root / f'JPEGImages/{name}.jpg'
        labels_path = root / f'SegmentationClass/{name}.png'
        labels = cv2.imread(str(labels_path), cv2.IMREAD_GRAYSCALE)
        labels = np.where(labels > 0, 1 + labels % 2, 0).astype(np.uint8)
        grey = cv2.imread(str(image_path), cv2.IMREAD_GRAYSCALE)[..., None]
        image = np.where(labels[..., None] > 0, grey / 4 + COLORS[labels], grey / 2 + 64)
        cv2.imwrite(str(image_path), cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        cv2.imwrite(str(labels_path), cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))
        path = root / f'Annotations/{name}.xml'
        tree = ET.parse(path)
        factor = {'x': size[0] / tool.SIZE, 'y': size[1] / tool.SIZE}
        for node in tree.iter('object'):
            label = tool.CLASSES.index(node.find('name').text) + 1
            node.find('name').text = CLASSES[label % 2]
        for node in tree.iter('bndbox'):
            for corner in node:
                corner.text = str(round(int(corner.text) * factor[corner.tag[0]]))
        for key, value in zip(('width', 'height'), size):
            tree.find(f'size/{key}').text = str(value)
        tree.write(path)
    return root


def train(cfg: Config, metainfo: dict, root: Path, folder: Path) -> dict:
    cfg.work_dir = str(folder)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].dataset.data_root = f'{root}/'
        cfg[name].dataset.metainfo = metainfo
    cfg.train_dataloader.batch_size = 4
    cfg.train_cfg.val_interval = cfg.default_hooks.checkpoint.interval = 10**6
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', convert_to_iter_based=True)]
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.val()


@pytest.mark.slow
@pytest.mark.parametrize('name, epochs, threshold, options', [
    ('centernet', 300, 0.9, {'model.bbox_head.num_classes': 2}),
    ('refinedet', 100, 0.9, {'model.bbox_head.num_classes': 2}),
    ('refinedet', 100, 0.9, {'model.bbox_head.num_classes': 2,
                             'model.data_preprocessor.resizer.type': 'DownsizeNetV2'}),
    ('lighthead', 100, 0.9, {'model.roi_head.bbox_head.num_classes': 2}),
    ('detr', 300, 0.8, {'model.bbox_head.num_classes': 2}),
    ('atss', 100, 0.9, {'model.bbox_head.num_classes': 2}),
    ('atss', 100, 0.9, {'model.bbox_head.num_classes': 2, **DETAIL,
                        'model.backbone.backbone': 'ResNet'}),
])
def test_detectors_find_their_objects_in_the_original_images(
        name, epochs, threshold, options, eight_images, tmp_path):
    cfg = load_config(str(ROOT / f'configs/mini/textures/{name}_textures.py'), options)
    # SIDE pixels on the longer side, then a scale for DownsizeNet, then padding to whole strides.
    for key in ('target_size', 'short_edge'):
        cfg.model.data_preprocessor.pop(key, None)
    cfg.model.data_preprocessor.update(scale=0.55, pad_size_divisor=32)
    resize = dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=True)
    shift, border = [], []
    if name == 'centernet':
        # The border shifts the image at test: the network must not lean on where it is.
        fill = dict(type='RandomCenterCropPad', mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True)
        shift = [dict(fill, crop_size=(SIDE, SIDE), ratios=(1.0, 1.1, 1.2), border=SIDE // 2 - 16,
                      test_pad_mode=None)]
        border = [dict(fill, ratios=None, border=None, test_mode=True, test_pad_add_pix=1,
                       test_pad_mode=['logical_or', 31])]
    load, annotations = cfg.train_pipeline[:2]
    cfg.train_dataloader.dataset.pipeline = [
        load, annotations, resize, *shift, cfg.train_pipeline[-1]]
    cfg.val_dataloader.dataset.pipeline = [
        load, resize, *border, annotations, cfg.test_pipeline[-1]]
    cfg.train_cfg.max_epochs = epochs
    assert train(cfg, dict(classes=CLASSES), eight_images, tmp_path)['pascal_voc/mAP'] > threshold


@pytest.mark.parametrize('name, epochs, resizer', [
    ('deeplabv3plus', 320, 'DownsizeNet'),
    pytest.param('deeplabv3plus', 320, 'DownsizeNetV2', marks=pytest.mark.slow),
    pytest.param('fcn', 160, 'DownsizeNet', marks=pytest.mark.slow),
    pytest.param('spnet', 240, 'DownsizeNet', marks=pytest.mark.slow),
    pytest.param('fpn', 320, 'DownsizeNet', marks=pytest.mark.slow),
    pytest.param('deeplabv3plus-learned', 320, 'DownsizeNet', marks=pytest.mark.slow),
])
def test_segmenters_find_their_areas_in_the_original_images(name, epochs, resizer, eight_images,
                                                            tmp_path):
    cfg = load_config(str(ROOT / f'configs/mini/textures/{name}_textures.py'))
    preprocessor = cfg.model.data_preprocessor
    preprocessor.resizer = dict(type=resizer)
    preprocessor.pop('target_size', None)
    preprocessor.pop('size_divisor', None)
    preprocessor.update(scale=0.55, size=(SIDE, SIDE), test_cfg=dict(size=(SIDE, SIDE)))
    resize = dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=True)
    load, annotations, *_, pack = cfg.train_pipeline
    cfg.train_dataloader.dataset.pipeline = [load, annotations, resize, pack]
    cfg.val_dataloader.dataset.pipeline = [load, resize, annotations, pack]
    for head in ('decode_head', 'auxiliary_head'):
        if head in cfg.model:
            cfg.model[head].num_classes = 3
    cfg.train_cfg.max_epochs = epochs
    metainfo = dict(classes=('background', *CLASSES), palette=COLORS.tolist())
    assert train(cfg, metainfo, eight_images, tmp_path)['mIoU'] > 90

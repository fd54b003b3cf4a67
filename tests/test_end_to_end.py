"""Eight images overfit through the whole pipeline are found again in the original images.

The images have different sizes, are resized with their ratio kept, shrunk by DownsizeNet and
padded; CenterNet also wants a border around them at test. Every wrong step of the way back to
original coordinates costs far more than these tests allow.
"""
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
import make_dataset as tool  # noqa: E402

SIZES = [(260, 200), (200, 260), (240, 240), (180, 280)]  # width and height in pixels

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


def run(cfg: Config, metainfo: dict, root: Path, folder: Path) -> dict:
    cfg.work_dir = str(folder)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].dataset.data_root = f'{root}/'
        cfg[name].dataset.metainfo = metainfo
    cfg.train_dataloader.batch_size = 4
    cfg.default_hooks.checkpoint.interval = 10**6
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', convert_to_iter_based=True)]
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.val()


@pytest.mark.slow
def test_centernet_finds_its_objects_in_the_original_images(eight_images, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/mini/centernet_textures.py')
    # SIDE pixels on the longer side, then a scale for DownsizeNet, then padding to whole strides.
    resize = dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=True)
    cfg.model.data_preprocessor.update(target_size=None, scale=0.55, pad_size_divisor=32)
    load, annotations, *_, pack = cfg.train_pipeline
    # The border shifts the image at test: the network must not lean on where it is.
    shift = dict(type='RandomCenterCropPad', crop_size=(SIDE, SIDE), ratios=(1.0, 1.1, 1.2),
                 border=SIDE // 2 - 16, mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True,
                 test_pad_mode=None)
    cfg.train_dataloader.dataset.pipeline = [load, annotations, resize, shift, pack]
    load, _, border, annotations, pack = cfg.test_pipeline
    border.update(test_pad_mode=['logical_or', 31], test_pad_add_pix=1)
    cfg.val_dataloader.dataset.pipeline = [load, resize, border, annotations, pack]
    cfg.train_cfg.update(max_epochs=300, val_interval=10**6)
    cfg.model.bbox_head.num_classes = 2
    metainfo = dict(classes=CLASSES)
    assert run(cfg, metainfo, eight_images, tmp_path)['pascal_voc/mAP'] > 0.9


def test_deeplab_finds_its_areas_in_the_original_images(eight_images, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/mini/deeplabv3plus_textures.py')
    resize = dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=True)
    cfg.model.data_preprocessor.update(scale=0.55, size=(SIDE, SIDE))
    cfg.model.data_preprocessor.pop('size_divisor')
    for name, transforms in (('train_dataloader', [resize]), ('val_dataloader', [resize])):
        load, annotations, *_, pack = cfg[name].dataset.pipeline
        order = [load, annotations, *transforms] if name == 'train_dataloader' else [
            load, *transforms, annotations]
        cfg[name].dataset.pipeline = [*order, pack]
    cfg.train_cfg.update(max_epochs=240, val_interval=10**6)
    cfg.model.decode_head.num_classes = cfg.model.auxiliary_head.num_classes = 3
    metainfo = dict(classes=('background', *CLASSES), palette=COLORS.tolist())
    assert run(cfg, metainfo, eight_images, tmp_path)['mIoU'] > 90

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


@pytest.fixture(scope='module')
def eight_images(tmp_path_factory) -> Path:
    """The built-in data set, squeezed to several sizes and ratios; train and val are the same."""
    root = tmp_path_factory.mktemp('eight') / 'textures'
    tool.make_dataset(root, 8, 1, seed=3)
    names = (root / 'ImageSets/Main/train.txt').read_text()
    (root / 'ImageSets/Main/val.txt').write_text(names)
    for i, name in enumerate(names.split()):
        size = SIZES[i % len(SIZES)]
        for path, how in ((root / f'JPEGImages/{name}.jpg', cv2.INTER_AREA),
                          (root / f'SegmentationClass/{name}.png', cv2.INTER_NEAREST)):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(path), cv2.resize(image, size, interpolation=how))
        path = root / f'Annotations/{name}.xml'
        tree = ET.parse(path)
        factor = {'x': size[0] / tool.SIZE, 'y': size[1] / tool.SIZE}
        for node in tree.iter('bndbox'):
            for corner in node:
                corner.text = str(round(int(corner.text) * factor[corner.tag[0]]))
        for key, value in zip(('width', 'height'), size):
            tree.find(f'size/{key}').text = str(value)
        tree.write(path)
    return root


def run(cfg: Config, root: Path, folder: Path) -> dict:
    cfg.work_dir = str(folder)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].dataset.data_root = f'{root}/'
    cfg.train_dataloader.batch_size = 8
    cfg.default_hooks.checkpoint.interval = 10**6
    cfg.param_scheduler[0].end = 20
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.val()


def test_centernet_finds_its_objects_in_the_original_images(eight_images, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/mini/centernet_textures.py')
    # 240 pixels on the longer side, then a scale for DownsizeNet, then padding to whole strides.
    resize = dict(type='Resize', scale=(240, 240), keep_ratio=True)
    cfg.model.data_preprocessor.update(target_size=None, scale=0.55, pad_size_divisor=32)
    load, annotations, *_, flip, pack = cfg.train_pipeline
    cfg.train_dataloader.dataset.pipeline = [load, annotations, resize, pack]
    load, _, border, annotations, pack = cfg.test_pipeline
    border.update(test_pad_mode=['logical_or', 31], test_pad_add_pix=1)
    cfg.val_dataloader.dataset.pipeline = [load, resize, border, annotations, pack]
    cfg.train_cfg.update(max_epochs=150, val_interval=10**6)
    assert run(cfg, eight_images, tmp_path)['pascal_voc/mAP'] > 0.9


def test_deeplab_finds_its_areas_in_the_original_images(eight_images, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/mini/deeplabv3plus_textures.py')
    resize = dict(type='Resize', scale=(240, 240), keep_ratio=True)
    cfg.model.data_preprocessor.update(scale=0.55, size=(240, 240))
    cfg.model.data_preprocessor.pop('size_divisor')
    for name, transforms in (('train_dataloader', [resize]), ('val_dataloader', [resize])):
        load, annotations, *_, pack = cfg[name].dataset.pipeline
        order = [load, annotations, *transforms] if name == 'train_dataloader' else [
            load, *transforms, annotations]
        cfg[name].dataset.pipeline = [*order, pack]
    cfg.train_cfg.update(max_epochs=120, val_interval=10**6)
    assert run(cfg, eight_images, tmp_path)['mIoU'] > 90
    labels = [np.unique(cv2.imread(str(p), 0)) for p in eight_images.glob('Segm*/train*.png')]
    assert set(np.concatenate(labels)) == set(range(6))  # no class is absent

import xml.etree.ElementTree as ET

import cv2
import make_dataset as tool
import numpy as np


def test_boxes_and_label_maps_agree(textures):
    names = (textures / 'ImageSets/Main/train.txt').read_text().split()
    assert len(names) == 16
    seen = set()
    for name in names:
        labels = cv2.imread(str(textures / f'SegmentationClass/{name}.png'), 0)
        assert cv2.imread(str(textures / f'JPEGImages/{name}.jpg')).shape == (300, 300, 3)
        covered = np.zeros_like(labels, bool)
        for node in ET.parse(textures / f'Annotations/{name}.xml').iter('object'):
            x1, y1, x2, y2 = (int(node.find('bndbox').find(k).text) for k in
                              ('xmin', 'ymin', 'xmax', 'ymax'))
            assert 1 <= x1 < x2 <= 300 and 1 <= y1 < y2 <= 300
            inside = labels[y1 - 1:y2, x1 - 1:x2]  # corners count from 1 and are inside
            label = tool.CLASSES.index(node.find('name').text) + 1
            seen.add(label)
            assert set(np.unique(inside)) <= {0, label}
            # The object touches all four sides of its box.
            for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert (side == label).any()
            covered[y1 - 1:y2, x1 - 1:x2] = True
        assert not labels[~covered].any()
    assert len(seen) >= 4


def test_the_same_seed_gives_the_same_files(textures, tmp_path):
    tool.make_dataset(tmp_path / 'again', 16, 4, seed=0)
    tool.make_dataset(tmp_path / 'other', 2, 1, seed=1)
    for file in textures.rglob('*.*'):
        assert file.read_bytes() == (tmp_path / 'again' / file.relative_to(textures)).read_bytes()
    name = 'JPEGImages/train_00000.jpg'
    assert (tmp_path / 'other' / name).read_bytes() != (textures / name).read_bytes()


def test_training_and_validation_share_no_texture():
    for load in (*tool.TEXTURES.values(), *tool.BACKGROUNDS):
        photo = load()
        columns = np.broadcast_to(np.arange(photo.shape[1]), photo.shape[:2])
        assert tool.split(columns, 'train').max() < tool.split(columns, 'val').min()


def test_brightness_does_not_give_the_class_away():
    for part in ('train', 'val'):
        for load in tool.TEXTURES.values():
            texture = tool.load_texture(load, part)
            assert abs(texture.mean() - 128) < 5 and abs(texture.std() - 40) < 5
            assert min(texture.shape) >= tool.MAX_SIDE


def test_an_existing_folder_is_not_overwritten(run_tool, textures):
    output = run_tool('tools/datasets/make_dataset.py', '--out', textures, fails=True)
    assert 'exists' in output and 'Traceback' not in output

import cv2
import make_cracks as tool
import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture(scope='module')
def cracks(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'cracks'
    tool.make_cracks(out, train=12, val=4, seed=0)
    return out


def test_cracks_are_thin_and_stand_out(cracks):
    for part, number in (('train', 12), ('val', 4)):
        files = sorted((cracks / 'images' / part).iterdir())
        assert len(files) == number
        for file in files:
            image = cv2.imread(str(file)).mean(axis=2)
            labels = cv2.imread(str(cracks / 'annotations' / part / file.name), 0)
            assert image.shape == labels.shape == (240, 240)
            assert set(np.unique(labels)) == {0, 1}
            assert 0.002 < labels.mean() < 0.1
            # Hardly any pixel is further than two from the crack's border: it is a line.
            assert np.quantile(ndimage.distance_transform_edt(labels)[labels > 0], 0.9) <= 2.3
            # It is darker than its surroundings, or in a dark photograph lighter.
            ring = (cv2.dilate(labels, np.ones((9, 9))) > 0) & ~(cv2.dilate(labels, np.ones((3, 3)))
                                                                > 0)
            assert abs(image[labels > 0].mean() - image[ring].mean()) > 8


def test_the_same_seed_gives_the_same_files(cracks, tmp_path):
    tool.make_cracks(tmp_path / 'again', 12, 4, seed=0)
    tool.make_cracks(tmp_path / 'other', 1, 1, seed=1)
    for file in cracks.rglob('*.png'):
        assert file.read_bytes() == (tmp_path / 'again' / file.relative_to(cracks)).read_bytes()
    name = 'images/train/00000.png'
    assert (tmp_path / 'other' / name).read_bytes() != (cracks / name).read_bytes()


@pytest.mark.parametrize('load', tool.PHOTOS)
def test_training_and_validation_share_no_photograph(load):
    def numbered() -> np.ndarray:
        photo = load()
        return np.broadcast_to(np.arange(photo.shape[1]), photo.shape[:2])

    assert tool.load_photo(numbered, 'train').max() < tool.load_photo(numbered, 'val').min()


def test_an_existing_folder_is_not_overwritten(run_tool, cracks):
    output = run_tool('tools/datasets/make_cracks.py', '--out', cracks, fails=True)
    assert 'exists' in output and 'Traceback' not in output

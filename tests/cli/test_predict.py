"""dsnet-mm predict: folders and videos, in a process without PyTorch."""
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from dsnet_mm.deploy.runtime.images import find_media, read_image
from dsnet_mm.deploy.runtime.metadata import Metadata
from dsnet_mm.deploy.runtime.session import Session

import cv2
import numpy as np
import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]
DETECTOR = """
<ir_version: 9, opset_import: ["" : 18]>
detector (uint8[batch, height, width, 3] images)
    => (float[1, 3, 4] boxes, float[1, 3] scores, int64[1, 3] labels)
<float[1, 3, 4] b = {1, 2, 11, 22, 5, 5, 9, 9, 0, 0, 0, 0}, float[1, 3] s = {0.9, 0.1, 0},
 int64[1, 3] l = {1, 0, -1}>
{ boxes = Identity(b) scores = Identity(s) labels = Identity(l) }
"""
SEGMENTER = """
<ir_version: 9, opset_import: ["" : 18]>
segmenter (uint8[batch, height, width, 3] images) => (uint8[batch, height, width] labels)
<int64[1] axes = {3}, int32 half = {128}>
{ most = ReduceMax<keepdims = 0>(images, axes) wide = Cast<to = 6>(most)
  binary = Div(wide, half) labels = Cast<to = 2>(binary) }
"""
# Whatever is installed, these are not there.
WITHOUT = """
import sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'onnx', 'onnxscript'):
    sys.modules[name] = None
from dsnet_mm.cli.predict import main
sys.exit(main())
"""


def write(file: Path, text: str, **changes: object) -> Path:
    """A file with metadata, or without if they are None."""
    model = onnx.parser.parse_model(text)
    task = 'detection' if text is DETECTOR else 'segmentation'
    fields = dict(task=task, classes=['cat', 'dog'], palette=[[0, 0, 0], [255, 0, 0]],
                  layout='nhwc', channel_order='bgr', size=None, resized='scale=0.5',
                  model='Model', versions={})
    if changes.get('metadata', True) is not None:
        onnx.helper.set_model_props(model, Metadata(**{**fields, **changes}).to_properties())
    onnx.save(model, file)
    return file


def predict(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', WITHOUT, *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / 'photos'
    (folder / 'more').mkdir(parents=True)
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = 200
    cv2.imwrite(str(folder / 'a.png'), image)
    cv2.imwrite(str(folder / 'more/b.jpg'), image)
    writer = cv2.VideoWriter(str(folder / 'c.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (60, 40))
    for _ in range(3):
        writer.write(image)
    writer.release()
    return folder


def test_boxes(photos, tmp_path):
    out = tmp_path / 'out'
    file = write(tmp_path / 'model.onnx', DETECTOR)
    result = predict(file, photos, '--out', out)
    assert result.returncode == 0, result.stderr
    assert '3 of 3 files predicted' in result.stderr
    found = json.loads((out / 'results.json').read_text())
    assert len(found) == 10  # two in each of two images and three frames; padding is none
    assert found[0] == dict(image_id=0, category_id=1, bbox=[1., 2., 10., 20.],
                            score=pytest.approx(0.9), file_name='a.png')
    assert found[2]['file_name'] == 'c.avi' and [each['frame'] for each in found[2:8]] == [
        0, 0, 1, 1, 2, 2]
    assert [each['image_id'] for each in found] == sorted(2 * list(range(5)))
    drawn = cv2.imread(str(out / 'drawn/a.png'))
    assert drawn.shape == (40, 60, 3) and (drawn[22, 8] == (0, 0, 255)).all()
    assert cv2.VideoCapture(str(out / 'drawn/c.mp4')).read()[1].shape == (40, 60, 3)
    assert (out / 'drawn/more/b.jpg').is_file()

    before = (out / 'results.json').read_bytes()
    again = predict(file, photos, '--out', out)
    assert again.returncode == 2 and 'results.json exists already: give --overwrite' in again.stderr
    assert (out / 'results.json').read_bytes() == before


def test_label_maps_and_what_cannot_be_read(photos, tmp_path):
    out = tmp_path / 'out'
    (photos / 'broken.jpg').write_bytes(b'no image')
    (photos / 'empty.png').write_bytes(b'')
    (photos / 'noise.mp4').write_bytes(b'no video')
    (out / 'drawn/more').mkdir(parents=True)
    (out / 'drawn/more/b.jpg').write_bytes(b'mine')
    file = write(tmp_path / 'model.onnx', SEGMENTER)
    result = predict(file, photos, '--out', out)
    assert result.returncode == 1
    for message in ('broken.jpg is no image', 'empty.png is no image', 'noise.mp4 is no video',
                    'b.jpg exists already', '2 of 6 files predicted'):
        assert message in result.stderr, result.stderr
    assert (out / 'drawn/more/b.jpg').read_bytes() == b'mine'
    labels = cv2.imread(str(out / 'labels/a.png'), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((40, 60), np.uint8)
    expected[:, 30:] = 1
    np.testing.assert_array_equal(labels, expected)
    frames = sorted(path.name for path in (out / 'labels/c').iterdir())
    assert frames == ['000000.png', '000001.png', '000002.png']


def test_inputs_are_never_overwritten(photos, tmp_path):
    file = write(tmp_path / 'model.onnx', DETECTOR)
    image = tmp_path / 'out/drawn/a.png'
    image.parent.mkdir(parents=True)
    image.write_bytes((photos / 'a.png').read_bytes())
    result = predict(file, image, '--out', tmp_path / 'out', '--overwrite')
    assert result.returncode == 1 and 'is an input, which is never overwritten' in result.stderr
    assert image.read_bytes() == (photos / 'a.png').read_bytes()


def test_the_example_of_the_docs(photos, tmp_path):
    [example] = re.findall(r'^```py\n(import cv2\nimport onnxruntime.*?)^```$',
                           (ROOT / 'docs/deploy.md').read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / 'street.jpg').write_bytes((photos / 'more/b.jpg').read_bytes())
    for text, printed in ((DETECTOR, '[0.9 0.1] [1 0]'), (SEGMENTER, '(40, 60)')):
        write(tmp_path / 'model.onnx', text)
        result = subprocess.run([sys.executable, '-c', example], cwd=tmp_path, text=True,
                                capture_output=True)
        assert printed in result.stdout, result.stderr


def test_bad_files(tmp_path):
    good = write(tmp_path / 'good.onnx', DETECTOR)
    with pytest.raises(FileNotFoundError, match='no file .*none.onnx'):
        Session(tmp_path / 'none.onnx')
    (tmp_path / 'text.onnx').write_text('text')
    with pytest.raises(ValueError, match='text.onnx cannot be loaded: .*Give an ONNX file w'):
        Session(tmp_path / 'text.onnx')
    bare = write(tmp_path / 'bare.onnx', DETECTOR, metadata=None)
    with pytest.raises(ValueError, match="has no metadata 'dsnet_mm': write it with"):
        Session(bare)
    model = onnx.load(good)
    onnx.helper.set_model_props(model, {'dsnet_mm': '{"task": "detection"}'})
    onnx.save(model, tmp_path / 'half.onnx')
    with pytest.raises(ValueError, match="metadata 'dsnet_mm' cannot be read .*missing"):
        Session(tmp_path / 'half.onnx')
    with pytest.raises(ValueError, match="layout='hwc': use one of"):
        write(tmp_path / 'wrong.onnx', DETECTOR, layout='hwc')


@pytest.mark.parametrize(('option', 'value', 'error'), [
    ('--score-thr', 'nan', '--score-thr must be from 0 to 1, got nan'),
    ('--score-thr', '30', '--score-thr must be from 0 to 1, got 30.0'),
    ('--threads', '-1', '--threads must not be negative, got -1')])
def test_bad_options(option, value, error, photos, tmp_path):
    done = predict(write(tmp_path / 'model.onnx', DETECTOR), photos, '--out', tmp_path / 'out',
                   f'{option}={value}')
    assert done.returncode == 2 and error in done.stderr
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('image', [
    np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), np.float32),
    np.zeros((0, 5, 3), np.uint8)], ids=['grey', 'alpha', 'float', 'empty'])
def test_bad_images(image, tmp_path):
    session = Session(write(tmp_path / 'model.onnx', SEGMENTER))
    with pytest.raises(ValueError, match=r'must be \(H, W, 3\) of type uint8, got'):
        session(image)
    with pytest.raises(ValueError, match='an image must be an array, got str'):
        session('image.png')


def test_another_size_than_the_files(tmp_path):
    session = Session(write(tmp_path / 'model.onnx', SEGMENTER, size=[40, 60]))
    assert session(np.zeros((40, 60, 3), np.uint8))['labels'].shape == (40, 60)
    with pytest.raises(ValueError, match='takes images of 40x60 pixels .*, got 60x40'):
        session(np.zeros((60, 40, 3), np.uint8))


def test_paths(photos, tmp_path):
    (photos / 'a.jpg').write_bytes((photos / 'a.png').read_bytes())
    with pytest.raises(ValueError, match='a.jpg and .*a.png would both become a: process'):
        find_media([photos], tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='none does not exist'):
        find_media([tmp_path / 'none'], tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no images in .*empty: looked for .jpg'):
        find_media([tmp_path / 'empty'], tmp_path / 'out')
    (photos / 'more/old').mkdir()
    (photos / 'more/old/d.png').write_bytes((photos / 'a.png').read_bytes())
    found = find_media([photos / 'a.png', photos / 'more'], photos / 'more/old')  # d.png is none
    assert found == {photos / 'a.png': Path('a.png'), photos / 'more/b.jpg': Path('b.jpg')}
    for out in (photos / 'more', photos):
        with pytest.raises(ValueError, match='more is in the output folder .*another --out'):
            find_media([photos / 'more'], out)
    with pytest.raises(NotADirectoryError, match='a.png is a file: give a folder'):
        find_media([photos / 'more'], photos / 'a.png')
    (photos / 'a.jpg').rename(photos / 'more/000000.jpg')
    (photos / 'more').rename(photos / 'c')  # the frames of c.avi go there
    with pytest.raises(ValueError, match='c.avi and .*(b|0).jpg would both become c'):
        find_media([photos], tmp_path / 'out')


def test_a_name_that_opencv_does_not_write(photos, tmp_path):
    (photos / 'a.png').rename(photos / 'nameless')
    result = predict(write(tmp_path / 'model.onnx', DETECTOR), photos / 'nameless',
                     photos / 'more/b.jpg', '--out', tmp_path / 'out')
    assert result.returncode == 1 and '1 of 2 files predicted' in result.stderr
    assert "nameless: OpenCV writes no files with suffix ''" in result.stderr
    found = json.loads((tmp_path / 'out/results.json').read_text())
    assert {(each['file_name'], each['image_id']) for each in found} == {('b.jpg', 0)}


def test_numbers_that_are_no_bytes(photos, tmp_path):
    file = photos / 'a.tif'
    image = cv2.imread(str(photos / 'a.png'))
    for dtype in (np.uint8, np.uint16):
        cv2.imwrite(str(file), image.astype(dtype) * (257 if dtype == np.uint16 else 1))
        np.testing.assert_array_equal(read_image(file), image)
    cv2.imwrite(str(file), image.astype(np.float32))
    with pytest.raises(OSError, match='a.tif holds float32 values: save it as uint8 or uint16'):
        read_image(file)


def test_an_interrupt_keeps_what_is_done(photos, tmp_path):
    many = tmp_path / 'many'
    many.mkdir()
    for number in range(2000):
        (many / f'{number:04d}.png').write_bytes((photos / 'a.png').read_bytes())
    file, out = write(tmp_path / 'model.onnx', DETECTOR), tmp_path / 'out'
    # Tests that run in the background ignore Ctrl-C, and so would their processes.
    code = 'import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)' + WITHOUT
    process = subprocess.Popen([sys.executable, '-c', code, str(file), str(many), '--out',
                                str(out)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (out / 'drawn/0009.png').exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate()
    assert process.returncode == 1 and 'Traceback' not in printed, printed
    [done] = re.findall(r'Interrupted.*\n(\d+) of 2000 files predicted', printed)
    found = json.loads((out / 'results.json').read_text())
    # The tenth file can be there before it is counted.
    assert 2 * int(done) <= len(found) <= 2 * int(done) + 2 and 9 <= int(done) < 2000
    again = predict(file, many, '--out', out)
    assert again.returncode == 2 and 'results.json exists already: give --overwrite' in again.stderr

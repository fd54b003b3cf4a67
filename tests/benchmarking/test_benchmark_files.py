"""dsnet-mm benchmark files: whole exported files in their runtimes, compared with PyTorch."""
import json
from pathlib import Path

from dsnet_mm.benchmarking import report
from dsnet_mm.cli import benchmark
from dsnet_mm.config import build_model, load_config

import cv2
import numpy as np
import pytest
import torch

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from dsnet_mm.benchmarking import files  # noqa: E402
from dsnet_mm.deploy.runtime.metadata import Metadata  # noqa: E402

SEGMENTER = """
<ir_version: 9, opset_import: ["" : 18]>
segmenter (uint8[batch, height, width, 3] images) => (uint8[batch, height, width] labels)
<int64[1] axes = {3}> { labels = ReduceMax<keepdims = 0>(images, axes) }
"""


def write(file: Path, **changes: object) -> Path:
    model = onnx.parser.parse_model(SEGMENTER)
    fields = dict(task='segmentation', classes=['a'], palette=[[0, 0, 0]], layout='nhwc',
                  channel_order='bgr', size=None, resized='scale=1', model='Model', versions={})
    onnx.helper.set_model_props(model, Metadata(**{**fields, **changes}).to_properties())
    onnx.save(model, file)
    return file


@pytest.fixture
def photos(tmp_path) -> Path:
    (tmp_path / 'photos').mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / f'photos/{number}.png'), np.full((40, 60 + number, 3), 99, 'u1'))
    return tmp_path / 'photos'


def test_files_and_a_model_in_turns(photos, tmp_path, capsys):
    config = 'configs/mini/camvid/fcn-mobilenetv2_camvid.py'
    options = load_config(config)
    torch.save(dict(state_dict=build_model(options).state_dict()), tmp_path / 'model.pth')
    first, second = write(tmp_path / 'a.onnx'), write(tmp_path / 'b.onnx', size=[30, 30])
    code = benchmark.main([
        'files', str(first), '--images', str(photos), str(second), '--quick', '--threads', '1',
        '--pytorch', config, str(tmp_path / 'model.pth'), '--out', str(tmp_path / 'out'),
        '--json', str(tmp_path / 'rows.json')])
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert code == 0 and [(row['file'], row['runtime']) for row in rows] == [
        *((str(file), runtime) for file in (first, second) for runtime in files.RUNTIMES),
        (config, 'PyTorch')]
    for row in rows:
        assert set(row) == {'file', 'runtime', 'ms', 'q1', 'q3'} and 0 < row['q1'] <= row['q3']
    assert report.markdown(rows) in capsys.readouterr().out
    assert (tmp_path / 'out/files.png').read_bytes().startswith(b'\x89PNG')


def test_every_file_is_a_line_and_every_runtime_a_column():
    rows = [dict(file=file, runtime=runtime, ms=ms, q1=ms, q3=ms) for file, runtime, ms in (
        ('a.onnx', 'onnxruntime', 2.), ('a.onnx', 'OpenVINO', 1.), ('model.py', 'PyTorch', 4.))]
    assert report.markdown(rows).splitlines() == [
        '| ms per image (quartiles) | onnxruntime | OpenVINO | PyTorch |', '|---|---|---|---|',
        '| a.onnx | 2 (2–2) | 1 (1–1) |  |', '| model.py |  |  | 4 (4–4) |']


def test_the_time_is_that_of_one_image(photos, tmp_path, monkeypatch):
    seen = []

    class Session(files.Session):
        def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
            seen.append(image.shape)
            return super().__call__(image)

    monkeypatch.setattr(files, 'Session', Session)
    monkeypatch.setattr(files, 'RUNTIMES', ('onnxruntime', ))
    monkeypatch.setattr(files, 'interleaved', lambda calls, *_: {
        key: [call(), 6.][1:] for key, call in calls.items()})
    [[row]] = files.measure([write(tmp_path / 'a.onnx')], [], photos, 1, 1, lambda: None)
    assert row['ms'] == 3 and seen == [(40, 60, 3), (40, 61, 3)]


@pytest.mark.parametrize('arguments, message', [
    (['files'], 'mode `files` needs paths of files and --images DIR'),
    (['files', 'a.onnx'], 'mode `files` needs paths of files and --images DIR'),
    (['files', 'a.onnx', '--images', 'photos', '--device', 'cuda'], 'runs on the CPU'),
    (['resizers', 'a.onnx'], '--images and --pytorch need mode `files`'),
    (['pipelines', '--images', 'photos'], '--images and --pytorch need mode `files`')])
def test_bad_arguments(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err


def test_bad_files(photos, tmp_path):
    arguments = ['files', str(tmp_path / 'none.onnx'), '--images', str(photos), '--out',
                 str(tmp_path / 'out')]
    with pytest.raises(SystemExit, match='there is no file .*none.onnx'):
        benchmark.main(arguments)
    arguments[1] = str(write(tmp_path / 'a.onnx'))
    (photos / '9.png').write_bytes(b'no image')
    with pytest.raises(SystemExit, match='9.png is no image'):
        benchmark.main(arguments)

"""The model behind the resizer in 8 and in 16 bits: dsnet-mm quantize, and export with --fp16."""
import shutil
from pathlib import Path

from dsnet_mm.cli import quantize as tool
from dsnet_mm.deploy.export.precision import nodes_of_model, to_half
from dsnet_mm.deploy.runtime.metadata import Metadata
from dsnet_mm.deploy.runtime.session import Session

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from written import META, write


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / 'photos'
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(5):
        small = random.integers(256, size=(6, 8, 3), dtype=np.uint8)
        image = cv2.resize(small, (60 + number, 40), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f'{number}.png'), image)
    return folder


class Reference(Session):
    """A file that onnx's reference computes: its 8-bit sums overflow on no processor."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.evaluator = ReferenceEvaluator(onnx.load(file))

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        return self.evaluator.run(self.names, {'images': images})


def agreement(file: Path, other: Path, photos: Path,
              session: type[Session] = Session) -> tuple[float, float]:
    """The share of equal labels, and the largest difference of scores in shares of their range."""
    first, second = session(file), session(other)
    assert first.names == second.names
    same, worst = [], []
    for photo in sorted(photos.iterdir()):
        image = cv2.imread(str(photo))
        a, b = first(image), second(image)
        assert b['scores'].dtype == np.float32 and b['labels'].dtype == np.uint8
        same.append((a['labels'] == b['labels']).mean())
        worst.append(np.abs(a['scores'] - b['scores']).max() / np.ptp(a['scores']))
    return min(same), max(worst)


def initializers(file: Path) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(file).graph.initializer}


def test_the_model_is_found_by_its_scopes(tmp_path):
    model = onnx.load(write(tmp_path / 'model.onnx'))
    assert [node.name for node in nodes_of_model(model)] == [
        'map', 'active', 'same', 'scores']


@pytest.mark.parametrize('number', [2, 100])
def test_quantised(number, photos, tmp_path, capsys):
    file, out = write(tmp_path / 'model.onnx'), tmp_path / 'int8.onnx'
    before = file.read_bytes()
    assert tool.main([str(file), str(photos), str(out), '--number', str(number)]) == 0
    assert f'{out}: ' in capsys.readouterr().out and file.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {'photos', 'model.onnx', 'int8.onnx'}

    model = onnx.load(out)
    onnx.checker.check_model(model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert set(properties) == {'mine', 'dsnet_mm'}
    assert Metadata.from_properties(properties) == Metadata(**META, precision='int8')
    values = initializers(out)
    assert values['w0'].dtype == np.float32 and 'w1' not in values
    weights, scales = values['w1_quantized'], values['w1_scale']
    assert weights.dtype == np.int8 and scales.shape == (8, )
    original = initializers(file)['w1']
    for channel, rounded, scale in zip(original, weights, scales):
        assert scale == pytest.approx(np.abs(channel).max() / 127, rel=0.01)
        np.testing.assert_allclose(rounded * scale, channel, rtol=0, atol=0.51 * scale)
    quantised = {node.input[0] for node in model.graph.node if node.op_type == 'QuantizeLinear'}
    assert 'normal' in quantised and not quantised & {'channels', 'small', 'shifted', 'wide'}

    same, worst = agreement(file, out, photos, Reference)
    assert same > 0.95 and 1e-5 < worst < 0.08


def test_seven_bits(photos, tmp_path):
    file, out = write(tmp_path / 'model.onnx'), tmp_path / 'int8.onnx'
    tool.main([str(file), str(photos), str(out), '--reduce-range'])
    assert np.abs(initializers(out)['w1_quantized']).max() == 64
    same, _ = agreement(file, out, photos)
    assert same > 0.9


def test_files_of_one_size(photos, tmp_path):
    file, out = write(tmp_path / 'model.onnx', size=[30, 50]), tmp_path / 'int8.onnx'
    tool.main([str(file), str(photos), str(out)])
    assert Session(out).metadata.size == [30, 50]


def test_half(photos, tmp_path):
    file, out = write(tmp_path / 'model.onnx'), tmp_path / 'half.onnx'
    model = onnx.load(file)
    to_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, out)
    values = initializers(out)
    assert values['w0'].dtype == np.float32 and 'w1' not in values
    np.testing.assert_array_equal(values['w1_half'], initializers(file)['w1'].astype(np.float16))
    casts = {(node.input[0], node.attribute[0].i) for node in model.graph.node
             if node.op_type == 'Cast'}
    assert casts == {('images', 1), ('best', 2), ('normal', 10), ('scores_inner', 1),
                     ('shape', 1), ('numbers', 7)}
    assert agreement(file, out, photos) == (pytest.approx(1, abs=0.01), pytest.approx(0, abs=3e-3))


def test_what_cannot_be_quantised(photos, tmp_path):
    file, out = write(tmp_path / 'model.onnx'), tmp_path / 'int8.onnx'
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.onnx').write_text('text')
    nameless = write(tmp_path / 'nameless.onnx', scopes=False)
    half = write(tmp_path / 'half.onnx', precision='float16')
    shutil.copytree(photos, tmp_path / 'broken')
    (tmp_path / 'broken/9.png').write_bytes(b'no image')
    foreign = onnx.load(file)
    onnx.helper.set_model_props(foreign, {})
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    for arguments, message in [
        ((file, tmp_path / 'empty', out), 'no images in .*empty: looked for .jpg'),
        ((file, tmp_path / 'none', out), 'there is no folder .*none'),
        ((file, tmp_path / 'broken', out), '9.png is no image'),
        ((file, photos, file), 'model.onnx is an input, which is never overwritten'),
        ((file, photos, tmp_path / 'no/int8.onnx'), 'there is no folder .*no to write int8.onnx'),
        ((file, file, out), 'model.onnx is a file: give the folder of the images'),
        ((tmp_path / 'none.onnx', photos, out), 'there is no file .*none.onnx'),
        ((tmp_path / 'text.onnx', photos, out), 'text.onnx cannot be loaded'),
        ((tmp_path / 'foreign.onnx', photos, out), "has no metadata 'dsnet_mm': write it with"),
        ((nameless, photos, out), 'nameless.onnx cannot be used: its nodes do not name the mod'),
        ((half, photos, out), 'half.onnx computes in float16 already: give the file in float32'),
    ]:
        with pytest.raises(SystemExit, match=message):
            tool.main([*map(str, arguments)])
        assert not out.exists()
    tool.main([str(file), str(photos), str(out)])
    with pytest.raises(SystemExit, match='int8.onnx computes in int8 already'):
        tool.main([str(out), str(photos), str(tmp_path / 'again.onnx')])
    with pytest.raises(SystemExit):
        tool.main([str(file), str(photos), str(out), '--number', '0'])


def test_a_precision_that_nobody_knows(tmp_path):
    with pytest.raises(ValueError, match="precision='int4': use one of"):
        write(tmp_path / 'model.onnx', precision='int4')

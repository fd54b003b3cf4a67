"""dsnet-mm resize."""
import shutil
import subprocess
import sys
from pathlib import Path

from dsnet_mm import DownsizeNet, DownsizeNetV2
from dsnet_mm.cli import resize
from dsnet_mm.resizers import pretrained
from dsnet_mm.transforms import Downsize

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps


@pytest.fixture(params=[DownsizeNet, DownsizeNetV2])
def weights(request, tmp_path) -> Path:
    net = request.param()
    torch.nn.init.normal_(net.logits.weight, std=5)
    file = tmp_path / 'trained.safetensors'
    file.write_bytes(pretrained.to_bytes(net, {}))
    return file


@pytest.fixture
def photos(tmp_path, data_root) -> Path:
    """A folder of photographs with a sub-folder and another file."""
    folder = tmp_path / 'photos'
    (folder / 'more').mkdir(parents=True)
    originals = sorted((data_root / 'bccd/JPEGImages').glob('*.jpg'))
    shutil.copy(originals[0], folder / 'one.jpg')
    Image.open(originals[1]).save(folder / 'more/two.PNG')
    (folder / 'notes.txt').write_text('no image')
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes()
            for file in folder.rglob('*') if file.is_file()}


def run(*arguments) -> int:
    return resize.main([str(argument) for argument in arguments])


def test_a_folder(photos, weights, tmp_path):
    before = contents(photos)
    out = tmp_path / 'small'
    command = [sys.executable, '-m', 'dsnet_mm.cli', 'resize', photos, '--size', '120,160',
               '--weights', weights, '--out', out]
    done = subprocess.run(map(str, command), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '2 of 2 images resized' in done.stderr
    assert contents(photos) == before
    assert sorted(contents(out)) == ['more/two.PNG', 'one.jpg']
    transform = Downsize((120, 160), weights=weights)
    lossless = Image.open(out / 'more/two.PNG')
    assert lossless.tobytes() == transform(Image.open(photos / 'more/two.PNG')).tobytes()
    jpeg, expected = Image.open(out / 'one.jpg'), transform(Image.open(photos / 'one.jpg'))
    assert jpeg.format == 'JPEG' and jpeg.size == (160, 120)
    assert np.abs(np.asarray(jpeg, float) - np.asarray(expected)).mean() < 3


@pytest.mark.parametrize('option, size', [
    (('--size', 96), (96, 96)), (('--scale', 0.25), (160, 120)), (('--short-edge', 60), (80, 60))])
def test_sizes(photos, tmp_path, option, size):
    assert run(photos / 'one.jpg', *option, '--out', tmp_path / 'small') == 0
    assert Image.open(tmp_path / 'small/one.jpg').size == size


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png'])
def test_exif_orientation(photos, tmp_path, orientation, suffix):
    image = Image.open(photos / 'one.jpg').resize((64, 48))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010f] = 'a camera'
    image.save(tmp_path / f'turned.{suffix}', exif=exif)
    turned = ImageOps.exif_transpose(Image.open(tmp_path / f'turned.{suffix}'))
    assert run(tmp_path / f'turned.{suffix}', '--scale', 0.5, '--out', tmp_path / 'small') == 0
    small = Image.open(tmp_path / f'small/turned.{suffix}')
    # Whoever honours EXIF sees the same as whoever does not.
    assert ImageOps.exif_transpose(small).tobytes() == small.tobytes()
    assert small.size == (turned.width // 2, turned.height // 2)
    expected = np.asarray(Downsize(scale=0.5)(turned), float)
    assert np.abs(np.asarray(small) - expected).mean() < 3
    if suffix == 'jpg':
        assert small.getexif()[0x010f] == 'a camera'


def test_broken_files_are_skipped_and_reported(photos, tmp_path, capsys):
    whole = (photos / 'one.jpg').read_bytes()
    (photos / 'truncated.jpg').write_bytes(whole[:len(whole) // 2])
    (photos / 'empty.png').write_bytes(b'')
    (photos / '[b]text.jpg').write_text('this is text')
    images = [Image.open(photos / 'one.jpg').resize((20, 20))] * 2
    images[0].save(photos / 'film.tif', save_all=True, append_images=images[1:])
    assert run(photos, '--size', 32, '--out', tmp_path / 'small') == 1
    assert sorted(contents(tmp_path / 'small')) == ['more/two.PNG', 'one.jpg']
    report = capsys.readouterr().err
    assert '2 of 6 images resized' in report
    for text in ('truncated.jpg: cannot be read', 'empty.png: cannot be read',
                 '[b]text.jpg: cannot be read', 'film.tif: has 2 frames'):
        assert text in report


def test_existing_outputs_are_kept_unless_told_otherwise(photos, tmp_path, capsys):
    out = tmp_path / 'small'
    out.mkdir()
    (out / 'one.jpg').write_text('precious')
    assert run(photos, '--size', 32, '--out', out) == 1
    assert (out / 'one.jpg').read_text() == 'precious'
    assert 'exists already: give --overwrite' in capsys.readouterr().err
    assert Image.open(out / 'more/two.PNG').size == (32, 32)
    assert run(photos, '--size', 16, '--out', out, '--overwrite') == 0
    assert Image.open(out / 'one.jpg').size == Image.open(out / 'more/two.PNG').size == (16, 16)


def test_outputs_below_the_input_are_no_inputs(photos):
    for _ in range(2):
        assert run(photos, '--size', 16, '--out', photos / 'small', '--overwrite') == 0
    assert sorted(contents(photos / 'small')) == ['more/two.PNG', 'one.jpg']


@pytest.mark.parametrize('arguments, message', [
    (('one.jpg', '--size', 32, '--out', '.', '--overwrite'), 'one.jpg is an input'),
    (('one.jpg', '--size', 32, '--out', 'more/..', '--overwrite'), 'is an input'),
    (('one.jpg', 'more/one.jpg', '--size', 32, '--out', 'small'), 'would both become'),
    (('none.jpg', '--size', 32, '--out', 'small'), 'none.jpg does not exist'),
    (('empty', '--size', 32, '--out', 'small'), 'no images in empty: looked for .jpg'),
    (('one.jpg', '--size', 32, '--out', 'small', '--weights', 'none-such'), "'none-such'"),
    (('one.jpg', '--size', 0, '--out', 'small'), 'must be positive'),
    (('one.jpg', '--size', '1,2,3', '--out', 'small'), 'height, width'),
    (('one.jpg', '--size', 'big', '--out', 'small'), "'big'"),
    (('one.jpg', '--scale', 'nan', '--out', 'small'), 'finite'),
    (('one.jpg', '--out', 'small'), 'one of the arguments --size --scale --short-edge'),
    (('one.jpg', '--size', 32, '--scale', 0.5, '--out', 'small'), 'not allowed with'),
])
def test_wrong_arguments(photos, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(photos)
    Path('empty').mkdir()
    shutil.copy('one.jpg', 'more/one.jpg')
    before = contents(photos)
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
    assert contents(photos) == before


@pytest.mark.parametrize('mode, suffix, becomes', [
    ('L', 'png', 'L'), ('RGBA', 'png', 'RGBA'), ('P', 'png', 'RGB'), ('CMYK', 'jpg', 'RGB'),
    ('I;16', 'png', 'I;16'), ('1', 'png', 'L'), ('F', 'tif', 'F'), ('RGB', 'webp', 'RGB'),
    ('RGB', 'bmp', 'RGB'), ('L', 'pgm', 'L')])
def test_modes(photos, tmp_path, mode, suffix, becomes):
    image = Image.open(photos / 'one.jpg')
    if mode == 'I;16':
        gray = np.asarray(image.convert('L')).astype(np.uint16) * 257
        image = Image.fromarray(gray)
    else:
        image = image.convert(mode)
    image.save(tmp_path / f'image.{suffix}')
    assert run(tmp_path / f'image.{suffix}', '--scale', 0.5, '--out', tmp_path / 'small') == 0
    small = Image.open(tmp_path / f'small/image.{suffix}')
    assert (small.mode, small.size) == (becomes, (320, 240))
    if becomes == 'I;16':
        expected = Downsize(scale=0.5)(torch.from_numpy(gray.astype(np.int32))[None])[0]
        assert np.abs(np.asarray(small).astype(int) - expected.numpy()).max() <= 1

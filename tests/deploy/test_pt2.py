"""Packages of PyTorch find what the model finds, and say what they are."""
import re
import subprocess
import sys
from pathlib import Path

from dsnet_mm.deploy import images
from dsnet_mm.deploy.cli import CAN_EXPORT
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export import export
from dsnet_mm.deploy.graph import build_graph
from dsnet_mm.deploy.package import Package

import cv2
import numpy as np
import pytest
import torch
from deployed import build

if not CAN_EXPORT:
    pytest.skip('PyTorch cannot name axes', allow_module_level=True)
PAGE = Path(__file__).resolve().parents[2] / 'docs/deploy.md'


def run_example(folder: Path) -> str:
    """What the example on the page prints where there is no OpenMMLab and no onnxruntime."""
    [example] = re.findall(r'^```py\n(import cv2\nfrom dsnet_mm.deploy.package .*?)^```$',
                           PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = ('import sys\nfor name in ("mmengine", "mmcv", "mmdet", "mmseg", "onnx", '
               '"onnxruntime", "onnxscript"): sys.modules[name] = None\n')
    result = subprocess.run([sys.executable, '-c', missing + example], cwd=folder, text=True,
                            capture_output=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_detector(tmp_path):
    model, cfg = build('atss-mobilenetv2_bccd')
    metadata = export(build_graph(model, cfg), cfg, tmp_path / 'model.pt2', images.make())
    assert [each.name for each in tmp_path.iterdir()] == ['model.pt2']
    package = Package(tmp_path / 'model.pt2')
    assert package.metadata == metadata and metadata.size is None and metadata.boxes == 100
    cv2.imwrite(str(tmp_path / 'street.jpg'), next(images.make((210, 330))))
    image = cv2.imread(str(tmp_path / 'street.jpg'))
    found = package(image)
    assert found['boxes'].shape == (len(found['scores']), 4) and len(found['scores']) > 10
    both = package.run(np.stack([image, image]))
    torch.testing.assert_close(both[0][0], both[0][1], rtol=0, atol=1e-3)
    assert f'boxes {found["boxes"].shape}' in run_example(tmp_path)


@pytest.mark.parametrize('name', [
    'unet_cracks', pytest.param('unet-guided_drive', marks=pytest.mark.slow)])
def test_any_size_at_a_scale(name, tmp_path):
    model, cfg = build(name)
    export(build_graph(model, cfg), cfg, tmp_path / 'model.pt2', images.make())
    package = Package(tmp_path / 'model.pt2')
    assert package.metadata.size is None
    for size in ((133, 178), (160, 240)):  # with padding and without
        [image, *_] = images.make(size)
        with torch.no_grad():
            [expected] = build_graph(model, cfg)(torch.from_numpy(image)[None])
        assert (package(image)['labels'] == expected[0].numpy()).mean() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize('name', ['unet_drive', 'lighthead_bccd'])
def test_compiled(name, tmp_path):
    model, cfg = build(name)
    size = (130, 170)
    metadata = export(build_graph(model, cfg), cfg, tmp_path / 'model.pt2', images.make(size),
                      size, compiled=True)
    assert [each.name for each in tmp_path.iterdir()] == ['model.pt2']
    package = Package(tmp_path / 'model.pt2')
    assert package.metadata == metadata
    labels = package(next(images.make(size)))['labels']
    assert labels.shape == size if name == 'unet_drive' else len(labels) > 10


@pytest.mark.slow
def test_without_a_compiler_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr('torch._inductor.config.cpp.cxx', (None, str(tmp_path / 'g++')))
    model, cfg = build('unet_drive')
    size = (130, 170)
    with pytest.raises(CannotExport, match='No working C.. compiler found.*Leave out --compile'):
        export(build_graph(model, cfg), cfg, tmp_path / 'model.pt2', images.make(size), size,
               compiled=True)
    assert not list(tmp_path.iterdir())


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file .*none.pt2'):
        Package(tmp_path / 'none.pt2')
    (tmp_path / 'text.pt2').write_text('text')
    with pytest.raises(ValueError, match='text.pt2 cannot be used: '):
        Package(tmp_path / 'text.pt2')
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1, 4, 5, 3), ))
    torch.export.save(program, tmp_path / 'bare.pt2')
    with pytest.raises(ValueError, match="has no metadata 'dsnet_mm': write it with"):
        Package(tmp_path / 'bare.pt2')


@pytest.mark.parametrize('name, message', [
    ('model.onnx', 'model.onnx compiled by AOTInductor cannot be exported'),
    ('model.pt2', 'for images of any size cannot be exported: give the size')])
def test_what_is_not_compiled(name, message, tmp_path):
    model, cfg = build('unet_drive')
    with pytest.raises(CannotExport, match=message):
        export(build_graph(model, cfg), cfg, tmp_path / name, images.make(), compiled=True)

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from dsnet_mm.benchmarking import memory, pipelines, report, resizers, timing, upsampling
from dsnet_mm.cli import benchmark

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted((ROOT / 'docs/benchmark').glob('*.json'))
CPU = torch.device('cpu')


def test_functions_take_turns(monkeypatch):
    calls, steps = [], []
    functions = {name: lambda name=name: calls.append(name) for name in 'abc'}
    monkeypatch.setattr(timing, 'SHORTEST', 0)
    times = timing.interleaved(functions, 3, 1, lambda: steps.append(1))
    assert ''.join(name for name, _ in groupby(calls)) == 'abcabcbcacab'
    assert [len(times[name]) for name in 'abc'] == [3, 3, 3]
    assert len(steps) == 3 * (1 + 3)


def test_quartiles_are_numpys():
    times = [5., 1., 2., 9., 4.]
    assert timing.quartiles(times) == dict(zip(('q1', 'ms', 'q3'), np.quantile(
        times, [0.25, 0.5, 0.75])))


def test_memory_beside_the_result():
    def function() -> torch.Tensor:
        return torch.ones(50_000_000)[:1_000_000] + 1

    peak = memory.peak_mb(function, CPU)
    if peak is None:
        pytest.skip('only Linux counts it')
    assert 195 < peak < 215
    assert memory.peak_mb(lambda: torch.ones(1_000_000), CPU) < 5


@pytest.mark.parametrize('kind', ['DownsizeNet', 'DownsizeNetV2'])
def test_a_large_image_takes_no_more_memory_than_promised(kind):
    # In processes of their own: what others freed would be used first. The median of three: where
    # a process starts to allocate decides over the gaps that are left between blocks.
    script = f"""
import torch
from dsnet_mm.benchmarking.memory import peak_mb
from dsnet_mm.resizers import {kind}
net, images = {kind}(), torch.zeros(1, 3, 2160, 3840, dtype=torch.uint8)
with torch.inference_mode():
    net(images[..., :600, :600], (200, 200))  # what the first call of anything takes
    print(peak_mb(lambda: net(images, (720, 1280)), torch.device('cpu')))
"""
    peaks = [subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE,
        env=dict(os.environ, OMP_NUM_THREADS='2')).stdout.strip()
        for _ in range(3)]
    if 'None' in peaks:
        pytest.skip('only Linux counts it')
    assert np.median([float(peak) for peak in peaks]) < 100, peaks


def test_multiply_adds_by_hand():
    modules = {name: resizers.build_resizer(cfg) for name, cfg in resizers.RESIZERS.items()}
    counted = 1e9 * resizers._multiply_adds(modules, resizers.PLAIN, (30, 40), (11, 13))
    # Convolutions 3 -> 16 -> 16 everywhere; distances 4 -> 16 and logits 32 -> 4 per output pixel.
    assert counted == pytest.approx(9 * 30 * 40 * (48 + 256) + 11 * 13 * (64 + 128))
    # At a whole ratio the second convolution is one of the output's size, and the distances, with
    # their half of the logits, are the same for every output pixel.
    counted = 1e9 * resizers._multiply_adds(modules, 'downsizenet-2', (30, 40), (15, 20))
    assert counted == pytest.approx(
        9 * (30 * 40 * 48 + 15 * 20 * 256) + 15 * 20 * 64 + 64 + 64)


def test_resizers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(resizers, 'QUICK', [[((64, 48), (32, 24), resizers.EVERY)]])
    code = benchmark.main(['resizers', '--quick', '--threads', '1', '--out', str(tmp_path),
                           '--json', str(tmp_path / 'deep/rows.json')])
    rows = json.loads((tmp_path / 'deep/rows.json').read_text())
    assert code == 0 and [row['resizer'] for row in rows] == list(resizers.EVERY)
    for row in rows:
        assert set(row) == {'resizer', 'in', 'out', 'ms', 'q1', 'q3', 'peak_mb', 'gmacs'}
        assert row['in'] == [64, 48] and row['out'] == [32, 24]
        assert 0 < row['q1'] <= row['ms'] <= row['q3']
    assert report.markdown(rows) in capsys.readouterr().out
    assert report.markdown(rows) in (tmp_path / 'resizers.md').read_text()
    assert (tmp_path / 'resizers.png').read_bytes().startswith(b'\x89PNG')


def test_upsampling(tmp_path, monkeypatch):
    monkeypatch.setattr(upsampling, 'SMALL', (36, 60))
    monkeypatch.setattr(upsampling, 'LARGE', (120, 200))
    steps: list[int] = []
    [rows] = upsampling.measure(1, 1, CPU, lambda: steps.append(1))
    assert [row['resizer'] for row in rows] == list(upsampling.networks())
    assert len(steps) == upsampling.measurements(1)
    # Convolutions 3 -> 8 around the image, 8 -> 8 and 8 -> 9 in it.
    expected = 27 * 8 * 122 * 202 + (72 * 8 + 72) * 120 * 200
    assert [row['gmacs'] for row in rows][:2] == [0, round(expected / 1e9, 3)]
    code = benchmark.main(['upsampling', '--quick', '--threads', '1', '--out', str(tmp_path)])
    assert code == 0 and (tmp_path / 'upsampling.png').exists()
    assert '| 36×60 → 120×200 | guided | ' in (tmp_path / 'upsampling.md').read_text()


def test_pipelines(tmp_path, monkeypatch):
    small = {'CenterNet': ('mini/textures/centernet_textures.py', (96, 128)),
             'DeepLabv3+': ('mini/textures/deeplabv3plus_textures.py', (96, 128))}
    monkeypatch.setattr(benchmark, 'PIPELINES', small)
    code = benchmark.main(['pipelines', '--quick', '--threads', '1', '--out', str(tmp_path),
                           '--pipelines', *small, '--json', str(tmp_path / 'rows.json')])
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert code == 0 and len(rows) == 2 * 2 * len(pipelines.NAMES)
    assert {tuple(row) for row in rows} == {('pipeline', 'resizer', 'mode', 'ms', 'q1', 'q3')}
    assert {(row['pipeline'], row['mode']) for row in rows} == {
        (name, mode) for name in small for mode in ('forward', 'train')}
    assert (tmp_path / 'pipelines.png').exists()


def test_the_model_of_a_config(tmp_path, capsys):
    config = ROOT / 'configs/mini/cracks/unet_cracks.py'
    assert benchmark.main(['pipelines', '--quick', '--threads', '1', '--out', str(tmp_path),
                           '--config', str(config), '--size', '80', '160']) == 0
    printed = capsys.readouterr().out
    assert '| unet_cracks, forward | ' in printed and '| unet_cracks, train | ' in printed
    (tmp_path / 'fcn.py').write_text("_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py']")
    with pytest.raises(SystemExit, match='fcn.py has no resizer: give its data_preprocessor'):
        benchmark.main(['pipelines', '--config', str(tmp_path / 'fcn.py')])
    with pytest.raises(SystemExit, match='none.py'):
        benchmark.main(['pipelines', '--config', str(tmp_path / 'none.py')])


def test_ratios_are_to_bilinear_at_the_same_size():
    rows = [dict(pipeline='A', resizer=name, mode='train', ms=ms, q1=ms, q3=ms)
            for name, ms in (('bilinear', 20.), ('downsizenet-2', 21.))]
    assert '| A, train | 20 (20–20) | 21 (21–21), +5.0% |' in report.markdown(rows)


@pytest.mark.parametrize('arguments, message', [
    (['resizers', '--rounds', '0'], 'must be positive'),
    (['resizers', '--device', 'cuda'], 'finds no GPU'),
    (['limits'], 'invalid choice'),
    (['pipelines', '--pipelines', 'YOLO'], 'YOLO'),
    (['pipelines', '--config', __file__, '--size', '0', '9'], 'size must be positive'),
    (['resizers', '--config', __file__], '--config needs mode `pipelines`, got resizers')])
def test_bad_arguments(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('file', COMMITTED, ids=lambda file: file.stem)
def test_readme_has_the_committed_table(file):
    table = report.markdown(json.loads(file.read_text()))
    assert table in (ROOT / 'docs/cost.md').read_text()

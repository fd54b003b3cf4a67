"""Comparisons at several sizes."""
import json

from dsnet_mm.cli import compare as cli
from dsnet_mm.comparison.plan import at_size
from dsnet_mm.comparison.results import CurvePoint, reached

import pytest
from mmengine.config import Config


def test_several_sizes_give_curves_and_the_size_that_reaches_the_baseline(
        config, tmp_path, run_tool):
    out = tmp_path / 'out'
    arguments = ['tools/compare.py', config, '--variants', 'bilinear', 'downsizenet-v2', '--seeds',
                 0, '--jobs', 2, '--sizes', 96, 64, '--work-dir', out, '--cfg-options',
                 'train_cfg.max_epochs=1']
    text = run_tool(*arguments)
    assert 'downsizenet-v2 needs' in text.replace('\n', ' ')
    results = json.loads((out / 'results.json').read_text())
    assert results['sizes'] == [64, 96]
    assert [pixels['output'] for pixels in results['pixels']] == [[64, 64], [96, 96]]
    for index, size in enumerate((64, 96)):
        single = json.loads((out / f'size-{size}/results.json').read_text())
        for variant, points in results['variants'].items():
            run = json.loads((
                out / f'size-{size}/runs/{variant}-seed0/result.json').read_text())
            value = run['metrics'][results['metric']]
            assert points[index]['seeds'] == single['variants'][variant]['seeds'] == {'0': value}
            assert points[index]['mean'] == value
            assert points[index]['ms_per_image'] > 0
    for name in ('report.html', 'report.md', 'accuracy_size.svg', 'accuracy_time.svg',
                 'size-64/report.html'):
        assert (out / name).stat().st_size > 0

    # Again, nothing is trained; another size is trained alone, and nothing else.
    before = {file: file.stat().st_mtime_ns for file in out.rglob('result.json')}
    run_tool(*arguments)
    arguments.insert(arguments.index('--sizes') + 1, 48)
    run_tool(*arguments)
    after = {file: file.stat().st_mtime_ns for file in out.rglob('result.json')}
    assert before.items() <= after.items() and len(after) == len(before) + 2
    assert json.loads((out / 'results.json').read_text())['sizes'] == [48, 64, 96]

    (out / 'report.md').unlink()
    run_tool('tools/compare.py', '--report-only', out)
    assert '| 48 | 48×48 | bilinear |' in (out / 'report.md').read_text()


@pytest.mark.parametrize('option, size, expected', [
    ('target_size=(160, 160)', 0.5, dict(scale=0.5, target_size=None, short_edge=None)),
    ('target_size=(160, 160)', 96., dict(scale=None, target_size=(96, 96), short_edge=None)),
    ('short_edge=160', 96., dict(scale=None, target_size=None, short_edge=96)),
    ('scale=0.3', 96., dict(scale=None, target_size=(96, 96), short_edge=None)),
])
def test_a_size_replaces_the_one_of_the_config(option, size, expected):
    cfg = Config.fromstring(f'model = dict(data_preprocessor=dict({option}))', '.py')
    assert dict(at_size(cfg, size).model.data_preprocessor) == expected


def point(size: float, mean: float | None, ms: float | None) -> CurvePoint:
    return CurvePoint(size, {}, mean, None, ms, None)


def test_where_a_curve_reaches_an_accuracy():
    points = [point(0.2, 50., 10.), point(0.3, 60., 20.), point(0.4, 58., 30.),
              point(0.5, 70., 50.)]
    assert reached(points, 55.) == pytest.approx((0.25, 15., True))
    assert reached(points, 64.) == pytest.approx((0.45, 40., True))
    assert reached(points, 40.) == (0.2, 10., False)
    assert reached(points, 71.) is None
    assert reached([point(0.2, None, None)], 40.) is None


@pytest.mark.parametrize('sizes', ['0.3', '0.3 0.3', '0.3 160', '0.3 -1', '0.3 1', '160 224.5'])
def test_wrong_sizes_are_refused_by_name(sizes, capsys):
    with pytest.raises(SystemExit):
        cli.parse_args(['config.py', '--sizes', *sizes.split()])
    message = capsys.readouterr().err
    assert 'two or more different scales between 0 and 1, or whole numbers of pixels' in message
    assert message.endswith(f', got {sizes}\n')


def test_the_input_image_has_one_size(capsys):
    with pytest.raises(SystemExit):
        cli.parse_args(['config.py', '--sizes', '0.3', '0.5', '--high-res'])
    assert '--high-res is the same at all --sizes' in capsys.readouterr().err

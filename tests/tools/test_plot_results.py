import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import plot_results
import pytest
from matplotlib.figure import Figure

RESULTS = sorted((Path(__file__).resolve().parents[2] / 'docs/results').rglob('*.json'))


@pytest.mark.parametrize('file', RESULTS, ids=lambda file: f'{file.parent.name}/{file.stem}')
def test_all_variants_are_in_the_picture(file, tmp_path, monkeypatch):
    out = tmp_path / 'plot.svg'
    monkeypatch.setattr(sys, 'argv', ['plot_results.py', str(file), '--titles', 'Here it is',
                                      '--out', str(out)])
    plot_results.main()
    texts = {text.text for text in ElementTree.parse(out).iter('{http://www.w3.org/2000/svg}text')}
    results = json.loads(file.read_text())
    # Those of results that came in several parts have no latency to compare, and no place.
    timed = {name for name, variant in results['variants'].items()
             if isinstance(variant, list) or variant['ms_per_image'] is not None}
    assert timed and timed <= texts
    assert {'Here it is', f'{results["metric"]}, %'} <= texts


@pytest.mark.parametrize('unit, score', [('percent', [40.0, 50.0]), ('fraction', [4000.0, 5000.0])])
def test_points_are_where_the_results_say(unit, score):
    points = [dict(mean=40.0, std=1.0, ms_per_image=7.0),
              dict(mean=50.0, std=None, ms_per_image=9.0)]
    axes = Figure().subplots()
    plot_results.draw_panel(axes, dict(
        unit=unit, metric='IoU',
        variants=dict(learned=points, unfinished=dict(mean=None, std=None, ms_per_image=None))))
    line = axes.lines[0]
    assert list(line.get_xdata()) == [7, 9] and list(line.get_ydata()) == score
    assert [text.get_text() for text in axes.texts] == ['learned']


def test_the_picture_is_the_same_every_time_and_png_works(tmp_path):
    for out in ('a.svg', 'b.svg', 'c.png'):
        plot_results.plot(RESULTS[:2], [], tmp_path / out)
    assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()
    assert (tmp_path / 'c.png').read_bytes().startswith(b'\x89PNG')


def test_titles_must_match_the_files(tmp_path):
    with pytest.raises(ValueError, match='2 files need as many --titles, got 1'):
        plot_results.plot(RESULTS[:2], ['one'], tmp_path / 'plot.svg')

"""The results shown are those of the committed files."""
import json
from pathlib import Path

from dsnet_mm.comparison import curve, intervals
from dsnet_mm.comparison.report import markdown_table, report_table

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / 'docs/results').glob('*.json'))
CURVES = sorted((ROOT / 'docs/results/sizes').glob('*.json'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_the_table_of_each_result_is_shown(file):
    results = json.loads(file.read_text())
    page = (ROOT / 'docs/results.md').read_text()
    assert '\n'.join(report_table(results)) in page
    for arm, values in results['arms'].items():
        runs = {str(run['seed']): run['value'] for run in results['runs'] if run['arm'] == arm}
        assert runs == values['seeds']
        expected = intervals.summarize(list(runs.values()))
        assert (values['mean'], values['std']) == pytest.approx(expected)


@pytest.mark.parametrize('file', CURVES, ids=lambda file: file.stem)
def test_the_tables_of_several_sizes_are_shown(file):
    results = json.loads(file.read_text())
    page = (ROOT / 'docs/results.md').read_text()
    for rows in (curve.reach_table(results), curve.main_table(results)):
        assert '\n'.join(markdown_table(rows)) in page
    for points in results['arms'].values():
        for point in points:
            expected = intervals.summarize(list(point['seeds'].values()))
            assert (point['mean'], point['std']) == pytest.approx(expected)

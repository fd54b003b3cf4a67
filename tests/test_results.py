"""The results page shows the numbers of the committed files."""
from pathlib import Path

from dsnet_mm.comparison.intervals import summarize
from dsnet_mm.comparison.report import main_table, markdown_table, reach_table, sizes_table
from dsnet_mm.comparison.results import Curve, Results, load

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs/results.md').read_text()
FILES = sorted((ROOT / 'docs/results').glob('**/*.json'))
CURVES = [file for file in FILES if '"sizes"' in file.read_text()]


def name_of(file: Path) -> str:
    return f'{file.parent.name}/{file.stem}'


@pytest.mark.parametrize('file', [file for file in FILES if file not in CURVES], ids=name_of)
def test_the_table_of_each_result_is_shown(file):
    results = load(Results, file)
    assert '\n'.join(markdown_table(main_table(results))) in PAGE
    for name, values in results.variants.items():
        runs = {str(run.seed): run.value for run in results.runs if run.variant == name}
        assert runs == values.seeds
        assert (values.mean, values.std) == pytest.approx(summarize(list(runs.values())))


@pytest.mark.parametrize('file', CURVES, ids=name_of)
def test_the_tables_of_several_sizes_are_shown(file):
    curve = load(Curve, file)
    for rows in (reach_table(curve), sizes_table(curve)):
        assert '\n'.join(markdown_table(rows)) in PAGE
    for points in curve.variants.values():
        for point in points:
            assert (point.mean, point.std) == pytest.approx(summarize(list(point.seeds.values())))

"""Comparisons at several input sizes: accuracy against size and time."""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsnet_mm.comparison import report
from dsnet_mm.comparison.figures import SCALE, Plot, colors_of, draw, legend
from dsnet_mm.comparison.plan import Comparison
from dsnet_mm.comparison.results import read
from dsnet_mm.comparison.runs import write_json
from dsnet_mm.comparison.trained import load_dataset, load_model, milliseconds

import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

# What the report of a comparison at one size has as well.
COMMON = ('config', 'mode', 'command', 'from', 'metric', 'unit', 'versions', 'machine',
          'resolved_config')
NOTES = [
    'The band is the standard deviation over the seeds.',
    'The times of all sizes were measured together: the median of the first validation images, one '
    'by one, in turns; on a CPU with one thread.',
    'A size that reaches an accuracy is read from the straight lines between the measured sizes.',
]


class Reached(NamedTuple):
    """The point of a variant's curve at which it reaches an accuracy."""

    size: float
    ms: float
    exact: bool  # False: already at the smallest size


def collect(sizes: Sequence[float], comparisons: Sequence[Comparison],
            results: Sequence[dict], folder: Path) -> dict:
    """Times the models of all sizes together, and writes results.json.

    Args:
        sizes (Sequence[float]): The sizes, ascending.
        comparisons (Sequence[Comparison]): The comparison at each size.
        results (Sequence[dict]): The contents of its results.json.
        folder (Path): The work dir of them all.

    Returns:
        dict: The contents of results.json.
    """
    file = folder / 'results.json'
    inputs = [comparison.folder / 'results.json' for comparison in comparisons]
    if file.exists() and file.stat().st_mtime >= max(f.stat().st_mtime for f in inputs):
        found = read(folder)
        if found['sizes'] == list(sizes):
            return found
    first = {(run.variant, size): run
             for size, comparison in zip(sizes, comparisons)
             for run in reversed(comparison.runs) if run.result()}
    times = dict(zip(first, milliseconds([load_model(run) for run in first.values()],
                                         load_dataset(comparisons[0].cfg))))
    arms: dict[str, list[dict]] = {}
    for size, result in zip(sizes, results):
        for variant, values in result['arms'].items():
            arms.setdefault(variant, []).append(dict(
                size=size, seeds=values['seeds'], mean=values['mean'], std=values['std'],
                ms_per_image=times.get((variant, size)),
                paired=result['paired'].get(f'{variant}-{next(iter(result["arms"]))}')))
    write_json(file, dict({key: results[0][key] for key in COMMON}, sizes=list(sizes),
                          pixels=[result['sizes'] for result in results], arms=arms,
                          failed=[run for result in results for run in result['failed']]))
    return read(folder)


def is_curve(results: dict) -> bool:
    """Whether these are the results of several sizes."""
    return isinstance(results['sizes'], list)


def reached(points: Sequence[dict], value: float) -> Reached | None:
    """The smallest size at which a variant reaches an accuracy, and the time there.

    Args:
        points (Sequence[dict]): The variant's values at each size, ascending.
        value (float): The accuracy.

    Returns:
        Reached | None: On the straight line between the measured sizes; None if the largest does
        not reach it.
    """
    points = measured(points)
    if not points:
        return None
    if points[0]['mean'] >= value:
        return Reached(points[0]['size'], points[0]['ms_per_image'], exact=False)
    for low, high in zip(points, points[1:]):
        if high['mean'] >= value:
            part = (value - low['mean']) / (high['mean'] - low['mean'])
            size, ms = (low[key] + part * (high[key] - low[key])
                        for key in ('size', 'ms_per_image'))
            return Reached(size, ms, exact=True)
    return None


def main_table(results: dict) -> report.Rows:
    """A header, and a row for each size and variant."""
    scale, (first, *_) = SCALE[results['unit']], results['arms']
    rows = [['size', 'pixels', 'variant', f'{results["metric"]}, %', 'seeds', 'ms per image',
             f'minus {first}, points (95% CI)']]
    for index, (size, pixels) in enumerate(zip(results['sizes'], results['pixels'])):
        for variant, points in results['arms'].items():
            point = points[index]
            spread = '' if point['std'] is None else f' ± {scale * point["std"]:.1f}'
            rows.append([
                f'{size:g}', '×'.join(map(str, pixels['output'])), variant,
                report.NOTHING if point['mean'] is None else f'{scale * point["mean"]:.1f}{spread}',
                str(len(point['seeds'])), report.number(point['ms_per_image']),
                report.NOTHING if point['paired'] is None else
                report.difference(point['paired'], scale)])
    return rows


def reach_table(results: dict) -> report.Rows:
    """A table of the size and time that the others need for the first variant's accuracy."""
    first, *others = results['arms']
    scale, largest = SCALE[results['unit']], results['sizes'][-1]
    rows = [[f'{first} at', f'{results["metric"]}, %', 'ms', *(f'{name} needs' for name in others)]]
    for point in results['arms'][first]:
        if point['mean'] is None:
            continue
        cells = []
        for name in others:
            found = reached(results['arms'][name], point['mean'])
            if found is None:
                cells.append(f'more than {largest:g}')
            else:
                size = f'{found.size:.3g}' if found.size < 1 else f'{found.size:.0f}'
                cells.append(f'{"" if found.exact else "at most "}{size}, {found.ms:.1f} ms')
        rows.append([f'{point["size"]:g}', f'{scale * point["mean"]:.1f}',
                     f'{point["ms_per_image"]:.1f}', *cells])
    return rows


def summary(results: dict) -> str:
    """A sentence that says what was compared."""
    seeds = sorted({int(seed) for points in results['arms'].values()
                    for point in points for seed in point['seeds']})
    return (f'The model of {results["config"]} at the sizes '
            f'{", ".join(f"{size:g}" for size in results["sizes"])} with each of these variants: '
            f'{", ".join(results["arms"])}. Seeds: {", ".join(map(str, seeds))}. Each size has a '
            'report of its own, in size-…/.')


def reach_title(results: dict) -> str:
    """The title of :func:`reach_table`."""
    return f'What reaches the accuracy of {next(iter(results["arms"]))}'


def summary_table(results: dict) -> Table:
    """The table of what reaches an accuracy, for the console."""
    return report.console_table(reach_table(results), results['config'])


def plots(results: dict) -> list[Plot]:
    """Accuracy against size, and against time."""
    scale = SCALE[results['unit']]
    found = []
    for title, key in (('Accuracy against input size', 'size'),
                       ('Accuracy against milliseconds per image', 'ms_per_image')):
        words = '; '.join(f'{name}: ' + ', '.join(
            f'{scale * point["mean"]:.1f} at {point[key]:.3g}' for point in measured(points))
            for name, points in results['arms'].items())
        found.append(Plot(title, draw(_curves, 3.2, results, key), words))
    return found


def measured(points: Sequence[dict]) -> list[dict]:
    """The sizes at which a run has finished."""
    return [point for point in points if point['mean'] is not None]


def _curves(axes: Axes, results: dict, key: str) -> None:
    scale = SCALE[results['unit']]
    for variant, color in colors_of(results).items():
        points = measured(results['arms'][variant])
        x = [point[key] for point in points]
        mean, std = (scale * np.array([point[part] or 0 for point in points])
                     for part in ('mean', 'std'))
        axes.plot(x, mean, 'o-', ms=4, color=color, label=variant)
        axes.fill_between(x, mean - std, mean + std, color=color, alpha=0.2, lw=0)
    axes.set_xlabel({'size': 'input size', 'ms_per_image': 'ms per image'}[key])
    axes.set_ylabel(f'{results["metric"]}, %')
    legend(axes)


def write_reports(results: dict, folder: Path) -> None:
    """Writes report.md, report.html and the plots as SVG."""
    figures = plots(results)
    for name, plot in zip(('size', 'time'), figures):
        (folder / f'accuracy_{name}.svg').write_text(plot.svg, encoding='utf-8')
    provenance = [['command', results['command']], ['machine', results['machine']],
                  ['versions', ', '.join(f'{k} {v}' for k, v in results['versions'].items())]]
    lines = ['# Variants compared at several sizes', '', report.escape(summary(results)), '',
             *report.markdown_table(reach_table(results)), '', *(f'- {note}' for note in NOTES), '',
             *(f'![{plot.title}](accuracy_{name}.svg)\n'
               for name, plot in zip(('size', 'time'), figures)),
             *report.markdown_table(main_table(results)), '',
             '## How it was run', '', *(f'- {report.escape(key)}: {report.escape(value)}'
                                        for key, value in provenance)]
    (folder / 'report.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    (folder / 'report.html').write_text(report.render(
        results=results, compared='variant', summary=summary(results),
        table=reach_table(results), pairs=main_table(results), pairs_title='All sizes',
        notes=NOTES, parts=[], part_note='', figures=[report.image(plot) for plot in figures],
        provenance=provenance, gallery=[]), encoding='utf-8')

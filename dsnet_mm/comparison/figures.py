"""The plots of a comparison as SVG that follows the reader's light or dark mode."""
import warnings
from collections.abc import Callable
from io import StringIO
from typing import Any, NamedTuple

from dsnet_mm.comparison.intervals import PairedDifference, summarize
from dsnet_mm.comparison.results import Curve, Measured, Results, measured

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Grey for the first variant, then colours for the colour-blind, on white and on black.
COLORS = ['#8b9099', '#1f83d6', '#e08a00', '#14a07a', '#c95fa6', '#d9532c', '#55b0e3']
# Matplotlib knows no CSS variables: these colours stand in for them until the SVG is written.
INK, PAPER = '#010203', '#fdfcfb'
CSS = ('<style>:root { --ink: #22262c; --paper: #ffffff } @media (prefers-color-scheme: dark) '
       '{ :root { --ink: #dfe2e7; --paper: #15181d } }</style>')
STYLE: dict[Any, Any] = {
    'axes.edgecolor': INK, 'axes.labelcolor': INK, 'text.color': INK, 'xtick.color': INK,
    'ytick.color': INK, 'grid.color': INK, 'grid.alpha': 0.15, 'axes.grid': True,
    'axes.axisbelow': True, 'axes.facecolor': PAPER, 'figure.facecolor': PAPER,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.spines.left': False,
    'ytick.left': False, 'legend.frameon': False, 'font.size': 10, 'text.parse_math': False,
    'svg.fonttype': 'none', 'svg.hashsalt': 'comparison',
}


class Plot(NamedTuple):
    """A plot with its title, its content in words, and the name of its file if it gets one."""

    title: str
    svg: str
    alt: str
    file: str = ''


def plots(results: Results | Curve) -> list[Plot]:
    """Draws the plots of a report, as far as there are values."""
    if isinstance(results, Curve):
        return [_curve_plot(results, 'size', 'size of the resized image', lambda point: point.size),
                _curve_plot(results, 'time', 'milliseconds per image', lambda point: point.ms)]
    found = []
    if pairs := results.pairs():
        found.append(Plot(
            f'Difference to {next(iter(results.variants))}: 95% interval and the seeds',
            draw(_differences, 1 + 0.5 * len(pairs), results, pairs),
            '; '.join(f'{name}: {difference(pair, results.scale)}'
                      for name, pair in pairs.items())))
    if any(len(run.curve) > 1 for run in results.runs):
        found.append(Plot(
            'Learning curves: mean and the seeds', draw(_learning, 3, results),
            '; '.join(f'{name}: {x[0]:g} to {x[-1]:g} {results.step}s, {y[0]:.1f} to {y[-1]:.1f}'
                      for name, (x, y) in mean_curves(results).items())))
    times = {name: values.ms_per_image for name, values in results.variants.items()
             if values.ms_per_image is not None}
    if times:
        found.append(Plot('Milliseconds per image',
                          draw(_times, 0.8 + 0.35 * len(times), results, times),
                          '; '.join(f'{name}: {time:.1f}' for name, time in times.items())))
    return found


def part_plot(results: Results, part: str) -> Plot:
    """The mean of every class or object size as bars."""
    groups = means(results, part)
    height = 1 + len(groups) * (0.14 + 0.1 * len(results.variants))
    return Plot('Mean over the seeds',
                draw(_bars, height, results, groups, part_measure(results, part)),
                'The numbers are in the table.')


def part_measure(results: Results, part: str) -> str:
    """What is measured of each class or object size, whatever the metric of all together."""
    if results.unit == 'percent':  # mmseg's
        return 'IoU'
    return 'AP' if part == 'per_class' else 'mAP'


def draw(plot: Callable[..., None], height: float, *arguments: object) -> str:
    """Draws a plot as SVG, of a phone's width and a height in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8, height), layout='constrained')
        plot(figure.subplots(), *arguments)
        out = StringIO()
        with warnings.catch_warnings():
            # The text of the SVG is drawn by the browser, whose fonts have more characters.
            warnings.filterwarnings('ignore', 'Glyph .* missing from font')
            figure.savefig(out, format='svg', metadata={'Date': None})
    svg = out.getvalue().replace(INK, 'var(--ink)').replace(PAPER, 'var(--paper)')
    return svg.replace('<defs>', f'{CSS}<defs>', 1)


def short(text: str) -> str:
    """A text cut to 18 characters."""
    return text if len(text) <= 18 else f'{text[:17]}…'


def difference(pair: PairedDifference, scale: int) -> str:
    """A paired difference and its interval."""
    if pair.mean is None:
        return 'no common seed'
    text = f'{scale * pair.mean:+.2f}'
    if pair.ci95 is not None:
        low, high = (f'{scale * end:.2f}' for end in pair.ci95)
        text += f' ({low} to {high})'
    return text.replace('-', '−')


def means(results: Results, part: str) -> dict[str, dict[str, float | None]]:
    """The mean over the seeds of every label and variant, in percent."""
    return {label: {name: summarize([results.scale * value for value in seeds.values()])[0]
                    for name, seeds in variants.items()}
            for label, variants in results.breakdown(part).items()}


def mean_curves(results: Results) -> dict[str, tuple[list[float], list[float]]]:
    """The steps and the mean metric in percent of each variant, at the steps all its runs have."""
    curves = {}
    for name in results.variants:
        runs = [{step: value for step, value in run.curve}
                for run in results.runs if run.variant == name]
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        if steps:
            curves[name] = steps, [results.scale * float(np.mean([run[step] for run in runs]))
                                   for step in steps]
    return curves


def colors_of(results: Results | Curve) -> dict[str, str]:
    """The colour of each variant."""
    return {name: COLORS[i and 1 + (i - 1) % (len(COLORS) - 1)]
            for i, name in enumerate(results.variants)}


def _legend(axes: Axes) -> None:
    """Puts the legend above a plot."""
    axes.figure.legend(loc='outside upper left', ncols=2)


def _rows(axes: Axes, labels: list[str]) -> None:
    """Names the rows of a horizontal plot, the first on top."""
    axes.set_yticks(range(len(labels)), map(short, labels))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis='y')


def _differences(axes: Axes, results: Results, pairs: dict[str, PairedDifference]) -> None:
    first, *_ = results.variants
    scale, colors = results.scale, colors_of(results)
    baseline = results.variants[first].seeds
    for row, (name, pair) in enumerate(pairs.items()):
        dots = [scale * (value - baseline[seed])
                for seed, value in results.variants[name].seeds.items() if seed in baseline]
        axes.plot(dots, [row + 0.2] * len(dots), 'o', ms=4, alpha=0.6, mew=0, color=colors[name])
        if pair.mean is not None:
            axes.plot(scale * pair.mean, row, 'D', ms=7, mew=0, color=colors[name])
        if pair.ci95 is not None:
            axes.plot(scale * np.array(pair.ci95), [row, row], '|-', ms=9, lw=2,
                      color=colors[name])
    axes.axvline(0, color=INK, lw=1, ls='--')
    axes.set_xlabel(f'{results.metric} minus that of {short(first)}, points')
    _rows(axes, list(pairs))


def _learning(axes: Axes, results: Results) -> None:
    colors = colors_of(results)
    for run in results.runs:
        if run.curve:
            points = np.array(run.curve)
            axes.plot(points[:, 0], results.scale * points[:, 1], '.-', ms=2, lw=0.8, alpha=0.5,
                      color=colors[run.variant])
    for name, (steps, values) in mean_curves(results).items():
        axes.plot(steps, values, 'o-', ms=3.5, lw=2.2, color=colors[name], label=short(name))
    axes.set_xlabel(results.step)
    axes.set_ylabel(f'{results.metric}, %')
    axes.locator_params('x', integer=True)
    _legend(axes)


def _times(axes: Axes, results: Results, times: dict[str, float]) -> None:
    colors = colors_of(results)
    for row, (name, time) in enumerate(times.items()):
        axes.bar_label(axes.barh(row, time, 0.6, color=colors[name]), fmt='%.1f', padding=3)
    axes.margins(x=0.12)
    axes.set_xlabel('ms per image')
    _rows(axes, list(times))


def _bars(axes: Axes, results: Results, groups: dict[str, dict[str, float | None]],
          measure: str) -> None:
    colors = colors_of(results)
    thick = 0.8 / len(colors)
    for i, (name, color) in enumerate(colors.items()):
        rows, values = zip(*((row - 0.4 + (i + 0.5) * thick, group[name])
                             for row, group in enumerate(groups.values())))
        axes.barh(rows, [np.nan if value is None else value for value in values], thick,
                  color=color, label=short(name))
    axes.set_xlabel(f'{measure}, %')
    _rows(axes, list(groups))
    _legend(axes)


def _curve_plot(curve: Curve, name: str, label: str, x: Callable[[Measured], float]) -> Plot:
    words = '; '.join(f'{variant}: ' + ', '.join(
        f'{curve.scale * point.mean:.1f} at {x(point):.3g}' for point in measured(points))
        for variant, points in curve.variants.items())
    return Plot(f'Accuracy against {label}', draw(_curves, 3.2, curve, label, x), words,
                f'accuracy_{name}.svg')


def _curves(axes: Axes, curve: Curve, label: str, x: Callable[[Measured], float]) -> None:
    for name, color in colors_of(curve).items():
        points = measured(curve.variants[name])
        across = [x(point) for point in points]
        mean = curve.scale * np.array([point.mean for point in points])
        std = curve.scale * np.array([point.std for point in points])
        axes.plot(across, mean, 'o-', ms=4, color=color, label=name)
        axes.fill_between(across, mean - std, mean + std, color=color, alpha=0.2, lw=0)
    axes.set_xlabel(label)
    axes.set_ylabel(f'{curve.metric}, %')
    _legend(axes)

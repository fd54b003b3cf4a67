"""The plots of a comparison as SVG that follows the reader's light or dark mode."""
import warnings
from io import StringIO
from itertools import chain, cycle
from typing import Any, NamedTuple

from dsnet_mm.comparison.intervals import PairedDifference, summarize
from dsnet_mm.comparison.results import Curve, Results, measured

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


@matplotlib.rc_context(STYLE)
def plots(results: Results | Curve) -> list[Plot]:
    """Draws the plots of a report, as far as there are values."""
    if isinstance(results, Curve):
        return [_curve_plot(results, 'size', 'size of the resized image'),
                _curve_plot(results, 'time', 'milliseconds per image')]
    found = [_difference_plot(results)] if results.pairs() else []
    if any(len(run.curve) > 1 for run in results.runs):
        found.append(_learning_plot(results))
    if any(values.ms_per_image is not None for values in results.variants.values()):
        found.append(_latency_plot(results))
    return found


@matplotlib.rc_context(STYLE)
def part_plot(results: Results, part: str, measure: str) -> Plot:
    """The mean of every class or object size as bars."""
    groups, colors = results.breakdown(part), colors_of(results)
    figure, axes = _subplot(1 + len(groups) * (0.14 + 0.1 * len(colors)))
    thick = 0.8 / len(colors)
    for i, (name, color) in enumerate(colors.items()):
        means = [summarize(list(seeds[name].values()))[0] for seeds in groups.values()]
        axes.barh(np.arange(len(groups)) - 0.4 + (i + 0.5) * thick,
                  results.scale * np.array(means, float), thick, color=color, label=short(name))
    axes.set_xlabel(f'{measure}, %')
    _name_rows(axes, list(groups))
    return Plot('Mean over the seeds', _svg(figure, legend=True), 'The numbers are in the table.')


def short(text: str) -> str:
    """A text cut to 18 characters."""
    return text if len(text) <= 18 else f'{text[:17]}…'


def difference(pair: PairedDifference, scale: int) -> str:
    """A paired difference and its interval."""
    if pair.mean is None:
        return 'no common seed'
    text = f'{scale * pair.mean:+.2f}'
    if pair.ci95 is not None:
        text += ' ({:.2f} to {:.2f})'.format(*(scale * end for end in pair.ci95))
    return text.replace('-', '−')


def colors_of(results: Results | Curve) -> dict[str, str]:
    """The colour of each variant."""
    return dict(zip(results.variants, chain(COLORS[:1], cycle(COLORS[1:]))))


def _subplot(height: float) -> tuple[Figure, Axes]:
    """A figure of a phone's width and a height in inches, and its axes."""
    figure = Figure(figsize=(4.8, height), layout='constrained')
    return figure, figure.subplots()


def _name_rows(axes: Axes, labels: list[str]) -> None:
    """Names the rows of a horizontal plot, the first on top."""
    axes.set_yticks(range(len(labels)), map(short, labels))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis='y')


def _svg(figure: Figure, legend: bool = False) -> str:
    """A plot as SVG, with the legend above it."""
    if legend:
        figure.legend(loc='outside upper left', ncols=2)
    out = StringIO()
    with warnings.catch_warnings():
        # The text of the SVG is drawn by the browser, whose fonts have more characters.
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        figure.savefig(out, format='svg', metadata={'Date': None})
    svg = out.getvalue().replace(INK, 'var(--ink)').replace(PAPER, 'var(--paper)')
    return svg.replace('<defs>', f'{CSS}<defs>', 1)


def _difference_plot(results: Results) -> Plot:
    first, *_ = results.variants
    pairs, scale, baseline = results.pairs(), results.scale, results.variants[first].seeds
    figure, axes = _subplot(1 + 0.5 * len(pairs))
    for row, (name, pair) in enumerate(pairs.items()):
        color = colors_of(results)[name]
        dots = [scale * (value - baseline[seed])
                for seed, value in results.variants[name].seeds.items() if seed in baseline]
        axes.plot(dots, [row + 0.2] * len(dots), 'o', ms=4, alpha=0.6, mew=0, color=color)
        if pair.mean is not None:
            axes.plot(scale * pair.mean, row, 'D', ms=7, mew=0, color=color)
        if pair.ci95 is not None:
            axes.plot(scale * np.array(pair.ci95), [row, row], '|-', ms=9, lw=2, color=color)
    axes.axvline(0, color=INK, lw=1, ls='--')
    axes.set_xlabel(f'{results.metric} minus that of {short(first)}, points')
    _name_rows(axes, list(pairs))
    return Plot(f'Difference to {first}: 95% interval and the seeds', _svg(figure),
                '; '.join(f'{name}: {difference(pair, scale)}' for name, pair in pairs.items()))


def _learning_plot(results: Results) -> Plot:
    figure, axes = _subplot(3)
    words = []
    for run in results.runs:
        if run.curve:
            steps, values = np.array(run.curve).T
            axes.plot(steps, results.scale * values, '.-', ms=2, lw=0.8, alpha=0.5,
                      color=colors_of(results)[run.variant])
    for name, color in colors_of(results).items():
        runs = [{step: value for step, value in run.curve}
                for run in results.runs if run.variant == name]
        common = sorted(set.intersection(*map(set, runs))) if runs else []
        if common:
            mean = [results.scale * float(np.mean([run[step] for run in runs])) for step in common]
            axes.plot(common, mean, 'o-', ms=3.5, lw=2.2, color=color, label=short(name))
            words.append(f'{name}: {common[0]:g} to {common[-1]:g} {results.step}s, '
                         f'{mean[0]:.1f} to {mean[-1]:.1f}')
    axes.set(xlabel=results.step, ylabel=f'{results.metric}, %')
    axes.locator_params('x', integer=True)
    return Plot('Learning curves: mean and the seeds', _svg(figure, legend=True), '; '.join(words))


def _latency_plot(results: Results) -> Plot:
    times = {name: values.ms_per_image for name, values in results.variants.items()
             if values.ms_per_image is not None}
    figure, axes = _subplot(0.8 + 0.35 * len(times))
    for row, (name, time) in enumerate(times.items()):
        bar = axes.barh(row, time, 0.6, color=colors_of(results)[name])
        axes.bar_label(bar, fmt='%.1f', padding=3)
    axes.margins(x=0.12)
    axes.set_xlabel('ms per image')
    _name_rows(axes, list(times))
    return Plot('Milliseconds per image', _svg(figure),
                '; '.join(f'{name}: {time:.1f}' for name, time in times.items()))


def _curve_plot(curve: Curve, x: str, label: str) -> Plot:
    """The metric against ``'size'`` or ``'time'``."""
    figure, axes = _subplot(3.2)
    words = []
    for name, color in colors_of(curve).items():
        sizes, times, means, stds = measured(curve.variants[name])
        across, mean, std = sizes if x == 'size' else times, curve.scale * means, curve.scale * stds
        axes.plot(across, mean, 'o-', ms=4, color=color, label=name)
        axes.fill_between(across, mean - std, mean + std, color=color, alpha=0.2, lw=0)
        words.append(f'{name}: ' + ', '.join(
            f'{value:.1f} at {at:.3g}' for at, value in zip(across, mean)))
    axes.set(xlabel=label, ylabel=f'{curve.metric}, %')
    return Plot(f'Accuracy against {label}', _svg(figure, legend=True), '; '.join(words),
                f'accuracy_{x}.svg')

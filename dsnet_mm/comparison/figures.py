"""The plots of a comparison as SVG that follows the reader's light or dark mode."""
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, NamedTuple

from dsnet_mm.comparison.intervals import breakdown, summarize

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SCALE = {'fraction': 100, 'percent': 1}
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
    """A plot with its title, and its content in words."""

    title: str
    svg: str
    alt: str


def plots(results: dict) -> Iterator[Plot]:
    """Draws the differences, learning curves and times, as far as there are values."""
    first, *others = results['arms']
    if others:
        pairs = {variant: results['paired'][f'{variant}-{first}'] for variant in others}
        yield Plot(f'Difference to {first}: 95% interval and the seeds',
                   draw(_differences, 1 + 0.5 * len(others), results, pairs),
                   '; '.join(f'{variant}: {difference(pair, SCALE[results["unit"]])}'
                             for variant, pair in pairs.items()))
    if any(len(run['curve']) > 1 for run in results['runs']):
        yield Plot('Learning curves: mean and the seeds',
                   draw(_curves, 3, results),
                   '; '.join(f'{variant}: {x[0]:g} to {x[-1]:g} {results["step"]}s, '
                             f'{y[0]:.1f} to {y[-1]:.1f}'
                             for variant, (x, y) in mean_curves(results).items()))
    times = {variant: values['ms_per_image'] for variant, values in results['arms'].items()
             if values['ms_per_image'] is not None}
    if times:
        yield Plot('Milliseconds per image',
                   draw(_times, 0.8 + 0.35 * len(times), results, times),
                   '; '.join(f'{variant}: {time:.1f}' for variant, time in times.items()))


def part_plot(results: dict, part: str) -> Plot:
    """The mean of every class or object size as bars."""
    groups = means(results, part)
    height = 1 + len(groups) * (0.14 + 0.1 * len(results['arms']))
    return Plot('Mean over the seeds',
                draw(_bars, height, results, groups, part_measure(results, part)),
                'The numbers are in the table.')


def part_measure(results: dict, part: str) -> str:
    """What is measured of each class or object size, whatever the metric of all together."""
    if results['unit'] == 'percent':  # mmseg's
        return 'IoU'
    return 'AP' if part == 'per_class' else 'mAP'


def draw(plot: Callable[..., None], height: float, results: dict, *arguments: object) -> str:
    """Draws a plot as SVG, of a phone's width and a height in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8, height), layout='constrained')
        plot(figure.subplots(), results, *arguments)
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


def difference(pair: dict, scale: float) -> str:
    """A paired difference and its interval."""
    if pair['mean'] is None:
        return 'no common seed'
    text = f'{scale * pair["mean"]:+.2f}'
    if pair['ci95'] is not None:
        low, high = (f'{scale * end:.2f}' for end in pair['ci95'])
        text += f' ({low} to {high})'
    return text.replace('-', '−')


def means(results: dict, part: str) -> dict[str, dict[str, float | None]]:
    """The mean over the seeds of every label and variant, in percent."""
    scale = SCALE[results['unit']]
    return {label: {variant: summarize([scale * value for value in seeds.values()])[0]
                    for variant, seeds in variants.items()}
            for label, variants in breakdown(results, part).items()}


def mean_curves(results: dict) -> dict[str, tuple[list[float], list[float]]]:
    """The steps and the mean metric in percent of each variant, at the steps all its runs have."""
    curves = {}
    for variant in results['arms']:
        runs = [dict(run['curve']) for run in results['runs'] if run['arm'] == variant]
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        if steps:
            curves[variant] = steps, [
                SCALE[results['unit']] * float(np.mean([run[step] for run in runs]))
                for step in steps]
    return curves


def colors_of(results: dict) -> dict[str, str]:
    """The colour of each variant."""
    return {variant: COLORS[i and 1 + (i - 1) % (len(COLORS) - 1)]
            for i, variant in enumerate(results['arms'])}


def legend(axes: Axes) -> None:
    """Puts the legend above a plot."""
    axes.figure.legend(loc='outside upper left', ncols=2)


def _rows(axes: Axes, labels: list[str]) -> None:
    """Names the rows of a horizontal plot, the first on top."""
    axes.set_yticks(range(len(labels)), map(short, labels))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis='y')


def _differences(axes: Axes, results: dict, pairs: dict[str, dict]) -> None:
    first, *_ = results['arms']
    scale, colors = SCALE[results['unit']], colors_of(results)
    baseline = results['arms'][first]['seeds']
    for row, (variant, pair) in enumerate(pairs.items()):
        dots = [scale * (value - baseline[seed])
                for seed, value in results['arms'][variant]['seeds'].items() if seed in baseline]
        axes.plot(dots, [row + 0.2] * len(dots), 'o', ms=4, alpha=0.6, mew=0, color=colors[variant])
        if pair['mean'] is not None:
            axes.plot(scale * pair['mean'], row, 'D', ms=7, mew=0, color=colors[variant])
        if pair['ci95'] is not None:
            axes.plot(scale * np.array(pair['ci95']), [row, row], '|-', ms=9, lw=2,
                      color=colors[variant])
    axes.axvline(0, color=INK, lw=1, ls='--')
    axes.set_xlabel(f'{results["metric"]} minus that of {short(first)}, points')
    _rows(axes, list(pairs))


def _curves(axes: Axes, results: dict) -> None:
    scale, colors = SCALE[results['unit']], colors_of(results)
    for run in results['runs']:
        if run['curve']:
            points = np.array(run['curve'])
            axes.plot(points[:, 0], scale * points[:, 1], '.-', ms=2, lw=0.8, alpha=0.5,
                      color=colors[run['arm']])
    for variant, (steps, values) in mean_curves(results).items():
        axes.plot(steps, values, 'o-', ms=3.5, lw=2.2, color=colors[variant], label=short(variant))
    axes.set_xlabel(results['step'])
    axes.set_ylabel(f'{results["metric"]}, %')
    axes.locator_params('x', integer=True)
    legend(axes)


def _times(axes: Axes, results: dict, times: dict[str, float]) -> None:
    colors = colors_of(results)
    for row, (variant, time) in enumerate(times.items()):
        axes.bar_label(axes.barh(row, time, 0.6, color=colors[variant]), fmt='%.1f', padding=3)
    axes.margins(x=0.12)
    axes.set_xlabel('ms per image')
    _rows(axes, list(times))


def _bars(axes: Axes, results: dict, groups: dict[str, dict[str, float | None]],
          measure: str) -> None:
    colors = colors_of(results)
    thick = 0.8 / len(colors)
    for i, (variant, color) in enumerate(colors.items()):
        rows, values = zip(*((row - 0.4 + (i + 0.5) * thick, group[variant])
                             for row, group in enumerate(groups.values())))
        axes.barh(rows, [np.nan if value is None else value for value in values], thick,
                  color=color, label=short(variant))
    axes.set_xlabel(f'{measure}, %')
    _rows(axes, list(groups))
    legend(axes)

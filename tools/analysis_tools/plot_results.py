"""Draws score against latency from the results.json files of ``dsnet-mm compare``.

One panel for each file and one colour for each variant; a comparison at several sizes is a line.
Error bars are the standard deviation over the seeds. The name of OUT decides the format.
"""
import argparse
import json
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE: dict = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'plot_results', 'font.size': 9,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True, 'grid.alpha': 0.25}
# Distinct for the colour-blind.
COLORS = {'bilinear': '#6b7078', 'antialias': '#1f83d6', 'antialias-larger': '#5fb4ee',
          'downsizenet': '#e08a00', 'downsizenet-v2': '#d13f2a'}


def plot(files: list[Path], titles: list[str], out: Path) -> None:
    """Draws one panel for each results.json.

    Args:
        files (list[Path]): The results.json files.
        titles (list[str]): The title of each panel; if empty, the names of the files.
        out (Path): The picture, .svg or .png.

    Raises:
        ValueError: If there are titles, but not one for each file.
    """
    titles = titles or [file.stem for file in files]
    if len(titles) != len(files):
        raise ValueError(f'{len(files)} files need as many --titles, got {len(titles)}')
    with rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(files), 3.4), layout='constrained')
        panels = figure.subplots(1, len(files), squeeze=False)[0]
        for axes, file, title in zip(panels, files, titles):
            draw_panel(axes, json.loads(file.read_text(encoding='utf-8')))
            axes.set_title(title, fontsize=9)
        figure.savefig(out, metadata={'Date': None} if out.suffix == '.svg' else None, dpi=150)


def draw_panel(axes: Axes, results: dict) -> None:
    """Draws the variants of one results.json, each with its name beside it."""
    scale = 1 if results['unit'] == 'percent' else 100
    for name, values in results['variants'].items():
        points = values if isinstance(values, list) else [values]
        points = [point for point in points if point['ms_per_image'] is not None]
        if not points:  # no seed has finished
            continue
        ms = [point['ms_per_image'] for point in points]
        score = [scale * point['mean'] for point in points]
        std = [scale * (point['std'] or 0) for point in points]
        color = COLORS.get(name, '#7d8a5c')
        axes.errorbar(ms, score, std, fmt='o-', ms=5, lw=1.2, capsize=2, color=color)
        axes.annotate(name, (ms[-1], score[-1]), (5, 5), textcoords='offset points', color=color)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.4 * (right - left))  # room for the names
    axes.set_xlabel('ms per image')
    axes.set_ylabel(f'{results["metric"]}, %')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', type=Path, help='results.json files')
    parser.add_argument('--titles', nargs='+', default=[], help='one title for each file')
    parser.add_argument('--out', required=True, type=Path, help='the picture, .svg or .png')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    plot(args.results, args.titles, args.out)


if __name__ == '__main__':
    main()

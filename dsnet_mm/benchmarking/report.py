"""Rows of a benchmark as Markdown and as a plot."""
from matplotlib.figure import Figure

BILINEAR = 'bilinear'


def groups(rows: list[dict]) -> dict[str, list[dict]]:
    """Groups rows by size, by pipeline and mode, or by runtime."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if 'in' in row:
            name = '{}×{} → {}×{}'.format(*row['in'], *row['out'])
        elif 'file' in row:
            name = row['runtime']
        else:
            name = f'{row["pipeline"]}, {row["mode"]}'
        found.setdefault(name, []).append(row)
    return found


def ratio(row: dict, group: list[dict]) -> float:
    """The time of a row divided by that of bilinear interpolation."""
    return row['ms'] / next(other['ms'] for other in group if other['resizer'] == BILINEAR)


def markdown(rows: list[dict]) -> str:
    """The table of a benchmark."""
    if 'file' in rows[0]:
        return _files_table(rows)
    return _resizers_table(rows) if 'in' in rows[0] else _pipelines_table(rows)


def _resizers_table(rows: list[dict]) -> str:
    lines = ['| pixels | resizer | ms (quartiles) | × bilinear | ns per output pixel '
             '| peak memory, MB | multiply-adds |', '|---|---|---|---|---|---|---|']
    for name, group in groups(rows).items():
        for row in group:
            peak = '–' if row['peak_mb'] is None else f'{row["peak_mb"]:.0f}'
            pixels = row['out'][0] * row['out'][1]
            lines.append(
                f'| {name} | {row["resizer"]} | {_time(row)} | {ratio(row, group):.1f} '
                f'| {1e6 * row["ms"] / pixels:.0f} | {peak} | {row["gmacs"]:.2f} G |')
    return '\n'.join(lines)


def _pipelines_table(rows: list[dict]) -> str:
    names = list(dict.fromkeys(row['resizer'] for row in rows))
    lines = ['| ms per image (quartiles) | ' + ' | '.join(names) + ' |',
             '|---' * (len(names) + 1) + '|']
    for name, group in groups(rows).items():
        cells = [_time(row) + ('' if row['resizer'] == BILINEAR
                               else f', {ratio(row, group) - 1:+.1%}') for row in group]
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def _files_table(rows: list[dict]) -> str:
    runtimes = list(groups(rows))
    times = {(row['file'], row['runtime']): _time(row) for row in rows}
    lines = [f'| ms per image (quartiles) | {" | ".join(runtimes)} |',
             '|---' * (len(runtimes) + 1) + '|']
    for file in dict.fromkeys(row['file'] for row in rows):
        cells = [times.get((file, runtime), '') for runtime in runtimes]
        lines.append(f'| {" | ".join([file, *cells])} |')
    return '\n'.join(lines)


def _time(row: dict) -> str:
    return '{ms:.3g} ({q1:.3g}–{q3:.3g})'.format(
        **{key: float(f'{row[key]:.3g}') for key in ('ms', 'q1', 'q3')})


def plot(rows: list[dict]) -> Figure:
    """Horizontal bars: milliseconds of resizers and files, percent that resizers add to
    pipelines."""
    found = groups(rows)
    alone, added = 'in' in rows[0], 'pipeline' in rows[0]
    columns = 2
    lines = -(-len(found) // columns)
    figure = Figure(figsize=(10, 0.6 + lines * (0.45 + 0.22 * max(map(len, found.values())))),
                    layout='constrained')
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for axis, (name, group) in zip(axes, found.items()):
        shown = [row for row in group if not added or row['resizer'] != BILINEAR]
        labels = [row.get('resizer') or row['file'] for row in shown]
        values = [100 * (ratio(row, group) - 1) if added else row['ms'] for row in shown]
        colors = ['#1f83d6' if label.startswith('downsizenet') else '#8b9099' for label in labels]
        bars = axis.barh(labels, values, color=colors)
        axis.bar_label(bars, [f'{value:.3g}' for value in values], padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(name, fontsize=9, loc='left')
        axis.tick_params(labelsize=8)
        axis.spines[['top', 'right']].set_visible(False)
        if alone:
            axis.set_xscale('log')
        axis.margins(x=0.15)
    for axis in axes[len(found):]:
        axis.set_visible(False)
    figure.supxlabel('percent of the time behind bilinear interpolation that is added' if added
                     else 'milliseconds' + ' (logarithmic)' * alone, fontsize=9)
    return figure

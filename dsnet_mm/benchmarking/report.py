"""Rows of a benchmark as Markdown and as a plot."""
from matplotlib.figure import Figure

BILINEAR = 'bilinear'
Table = tuple[list[str], list[list[str]]]  # header and lines, cell by cell


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
    """The table of a benchmark's rows."""
    if 'file' in rows[0]:
        header, lines = _files_table(rows)
    else:
        header, lines = _resizers_table(rows) if 'in' in rows[0] else _pipelines_table(rows)
    return '\n'.join([f'| {" | ".join(header)} |', '|---' * len(header) + '|',
                      *(f'| {" | ".join(line)} |' for line in lines)])


def _resizers_table(rows: list[dict]) -> Table:
    header = ['pixels', 'resizer', 'ms (quartiles)', '× bilinear', 'ns per output pixel',
              'peak memory, MB', 'multiply-adds']
    return header, [
        [name, row['resizer'], _time(row), f'{ratio(row, group):.1f}',
         f'{1e6 * row["ms"] / (row["out"][0] * row["out"][1]):.0f}',
         '–' if row['peak_mb'] is None else f'{row["peak_mb"]:.0f}', f'{row["gmacs"]:.2f} G']
        for name, group in groups(rows).items() for row in group]


def _pipelines_table(rows: list[dict]) -> Table:
    names = dict.fromkeys(row['resizer'] for row in rows)
    return ['ms per image (quartiles)', *names], [
        [name, *(_time(row) + ('' if row['resizer'] == BILINEAR
                               else f', {ratio(row, group) - 1:+.1%}') for row in group)]
        for name, group in groups(rows).items()]


def _files_table(rows: list[dict]) -> Table:
    runtimes = groups(rows)
    times = {(row['file'], row['runtime']): _time(row) for row in rows}
    return ['ms per image (quartiles)', *runtimes], [
        [file, *(times.get((file, runtime), '') for runtime in runtimes)]
        for file in dict.fromkeys(row['file'] for row in rows)]


def _time(row: dict) -> str:
    return '{ms:.3g} ({q1:.3g}–{q3:.3g})'.format(
        **{key: float(f'{row[key]:.3g}') for key in ('ms', 'q1', 'q3')})


def plot(rows: list[dict]) -> Figure:
    """Horizontal bars: latency of resizers and files, added latency of resizers in pipelines."""
    found = groups(rows)
    alone, added = 'in' in rows[0], 'pipeline' in rows[0]
    lines = -(-len(found) // 2)
    figure = Figure(figsize=(10, 0.6 + lines * (0.45 + 0.22 * max(map(len, found.values())))),
                    layout='constrained')
    axes = figure.subplots(lines, 2, squeeze=False).flatten()
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
    figure.supxlabel('added latency, % of that with bilinear interpolation' if added
                     else 'latency, ms' + ' (logarithmic)' * alone, fontsize=9)
    return figure

"""Writes the reports of a comparison: report.md and report.html."""
import base64
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from .figures import SCALE, Plot, difference, means, part_plot, plots
from .statistics import breakdown, paired, verdict

Rows = list[list[str]]
NOTHING = '–'
PARTS = {'Object sizes': 'per_size', 'Classes': 'per_class'}
PAIRS = 'Each minus each before it'
PART_NOTE = 'means over the seeds, and differences over the seeds that both finished'


def write_reports(results: dict, folder: Path) -> None:
    """Writes report.md and report.html next to the pictures in ``folder/gallery``.

    Args:
        results: The contents of results.json.
        folder: Where to; ``gallery/index.json`` in it names the pictures, where there are any.
    """
    (folder / 'report.md').write_text(markdown(results), encoding='utf-8')
    (folder / 'report.html').write_text(html(results, gallery(folder / 'gallery')),
                                        encoding='utf-8')


def report_table(results: dict) -> list[str]:
    """The main table as lines of Markdown."""
    return markdown_table(main_table(results))


def summary_table(results: dict) -> Table:
    """The main table for the console, without parameters and what the small image moved."""
    header, *rows = ([*row[:5], row[7]] for row in main_table(results))
    table = Table(*(Column(Text(cell), overflow='fold') for cell in header),
                  title=Text(results['config']), box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def compared(results: dict) -> str:
    """What an arm is, in a word."""
    # Earlier results.json have resizers only.
    return 'arm' if any(arm.get('options') for arm in results['arms'].values()) else 'resizer'


def main_table(results: dict) -> Rows:
    """One row for each arm, below the header."""
    first, *_ = results['arms']
    scale = SCALE[results['unit']]
    rows = [[compared(results), f'{results["metric"]}, %', 'seeds',
             f'minus {first}, points (95% CI)', 'verdict', 'parameters', 'of the resizer',
             'ms per image', 'small image moved']]
    for name, arm in results['arms'].items():
        pair = None if name == first else results['paired'][f'{name}-{first}']
        spread = '' if arm['std'] is None else f' ± {scale * arm["std"]:.1f}'
        failed = sum(run['arm'] == name for run in results['failed'])
        rows.append([
            name,
            NOTHING if arm['mean'] is None else f'{scale * arm["mean"]:.1f}{spread}',
            f'{len(arm["seeds"])}' + (f' ({failed} failed)' if failed else ''),
            NOTHING if pair is None or pair['mean'] is None else difference(pair, scale),
            'reference' if pair is None else verdict(pair),
            *(NOTHING if arm[key] is None else f'{arm[key]:,}'
              for key in ('params', 'resizer_params')),
            number(arm['ms_per_image']),
            NOTHING if arm['moved'] is None else f'{arm["moved"]:.1f}%'])
    return rows


def pairs_table(results: dict) -> Rows:
    """Each arm minus each one before it; no rows where there are two arms only."""
    names, scale = list(results['arms']), SCALE[results['unit']]
    seeds = {name: arm['seeds'] for name, arm in results['arms'].items()}
    if len(names) < 3:
        return []
    rows = [['minus, points (95% CI)', *names[:-1]]]
    for index, name in enumerate(names[1:], 1):
        pairs = (paired(seeds[name], seeds[other]) for other in names[:index])
        cells = [NOTHING if pair['mean'] is None else f'{difference(pair, scale)}, {verdict(pair)}'
                 for pair in pairs]
        rows.append([name, *cells, *[''] * (len(names) - 1 - index)])
    return rows


def part_table(results: dict, part: str) -> Rows:
    """The mean of every class or object size, and its differences to the first arm."""
    first, *others = results['arms']
    scale = SCALE[results['unit']]
    values, averages = breakdown(results, part), means(results, part)
    header = [part.removeprefix('per_'), *results['arms'], *(f'{a} − {first}' for a in others)]
    rows = [[label, *(number(averages[label][arm]) for arm in results['arms']),
             *(signed(paired(arms[arm], arms[first])['mean'], scale) for arm in others)]
            for label, arms in values.items()]
    return [header, *rows]


def number(value: float | None) -> str:
    return NOTHING if value is None else f'{value:.1f}'


def signed(value: float | None, scale: float) -> str:
    return NOTHING if value is None else f'{scale * value:+.1f}'.replace('-', '−')


def summary(results: dict) -> str:
    """What was compared and what came out, in a paragraph."""
    first, *others = results['arms']
    what = {'train': 'trained', 'resizer': 'frozen and only the resizer trained',
            'finetune': 'trained further'}[results['mode']]
    source = f', loaded from {results["from"]},' if results['from'] else ''
    seeds = sorted({int(run['seed']) for run in [*results['runs'], *results['failed']]})
    high, low = (f'{h}×{w}' for h, w in (results['sizes'][k] for k in ('input', 'output')))
    sentences = [
        f'The model of {results["config"]}{source} was {what}, with each of these '
        f'{compared(results)}s: {", ".join(results["arms"])}.',
        f'Seeds: {", ".join(map(str, seeds))}. Metric: {results["metric"]}.',
        f'The first validation image has {high} pixels, and {low} behind the resizer.']
    if others:
        pairs = {arm: results['paired'][f'{arm}-{first}'] for arm in others}
        found = '; '.join(f'{arm}: {verdict(pair)}' + (
            '' if pair['n'] == 0 else f', {difference(pair, SCALE[results["unit"]])}')
            for arm, pair in pairs.items())
        sentences.append(f'Compared to {first}, in points with 95% intervals: {found}.')
    if results['failed']:
        total = len(results['runs']) + len(results['failed'])
        sentences.append(f'{len(results["failed"])} of {total} trainings failed.')
    return ' '.join(sentences)


def notes(results: dict) -> list[str]:
    """How to read the table."""
    _, *others = results['arms']
    lines = ['± is the standard deviation over the seeds. A difference is the mean over the seeds '
             "that both finished; in brackets, Student's 95% confidence interval for pairs. "
             '"Better" means that all of the interval lies above zero, "worse" that all of it lies '
             'below. It covers the chance of the seed, not the choice of the images.']
    if any(pair['n'] == 1 for pair in results['paired'].values()):
        lines.append('One seed has no interval: its difference may be chance. Compare with three '
                     'or more (--seeds 0 1 2).')
    if len(others) > 1:
        lines.append(f'The {len(others)} intervals are not adjusted for multiple comparisons: the '
                     f'more {compared(results)}s, the likelier one looks better or worse by '
                     'chance.')
    if any(arm['moved'] is not None for arm in results['arms'].values()):
        lines.append('"Small image moved" is how far training changed the small image: the root '
                     "mean square difference in percent of the image's standard deviation.")
    if 'high-res' in results['arms']:
        lines.append('"high-res" is the model on the image that was not shrunk: what the others '
                     'can at best hope for.')
    return lines


def how(results: dict) -> Rows:
    """How it was run."""
    runs = results['runs']
    devices = ', '.join(sorted({run['device'] for run in runs}))
    hours = sum(run['wall_time_s'] for run in runs) / 3600
    return [['command', results['command']],
            ['machine', results['machine']],
            ['versions', ', '.join(f'{k} {v}' for k, v in results['versions'].items())],
            ['trainings', f'{len(runs)} finished, {hours:.2f} hours together, on {devices}'],
            *([f'resizer {name}', str(arm['resizer'])] for name, arm in results['arms'].items()),
            *([f'options {name}', str(arm['options'])] for name, arm in results['arms'].items()
              if arm.get('options'))]


def markdown(results: dict) -> str:
    """The report as Markdown."""
    lines = [f'# {compared(results).capitalize()}s compared', '', escape(summary(results)), '',
             *report_table(results), '', *(f'- {escape(note)}' for note in notes(results)), '',
             'Plots and pictures are in [report.html](report.html).', '']
    if results['failed']:
        lines += ['## Failed', '']
        for run in results['failed']:
            lines += [f'{escape(run["arm"])}, seed {run["seed"]}, ended with', '',
                      textwrap.indent(run['log'], '    '), '']
    if pairs := pairs_table(results):
        lines += [f'## {PAIRS}', '', *markdown_table(pairs), '']
    for title, part in PARTS.items():
        if means(results, part):
            lines += [f'## {title}', '', f'{escape(results["metric"])} in percent: {PART_NOTE}.',
                      '', *markdown_table(part_table(results, part)), '']
    lines += ['## How it was run', '', *(f'- {escape(key)}: {escape(value)}'
                                         for key, value in how(results))]
    return '\n'.join(lines) + '\n'


def markdown_table(rows: Rows) -> list[str]:
    header, *body = (f'| {" | ".join(map(escape, row))} |' for row in rows)
    return [header, '|' + '---|' * len(rows[0]), *body]


def escape(text: str) -> str:
    """Keeps Markdown from reading a text as markup."""
    one_line = ' '.join(text.split())
    return re.sub(r'[\\`*|<&~\[\]]|(?<![^\W_])_|_(?![^\W_])', r'\\\g<0>', one_line)


def html(results: dict, images: Sequence[dict]) -> str:
    """The report as one file without references to others."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts = [(title, _image(part_plot(results, part)), part_table(results, part))
             for title, part in PARTS.items() if means(results, part)]
    return environment.get_template('report.html.j2').render(
        results=results, compared=compared(results), summary=summary(results),
        table=main_table(results), pairs=pairs_table(results), pairs_title=PAIRS,
        notes=notes(results), parts=parts, part_note=PART_NOTE,
        figures=[_image(plot) for plot in plots(results)], how=how(results), gallery=images)


def _image(plot: Plot) -> dict:
    return dict(title=plot.title, alt=f'{plot.title}. {plot.alt}',
                uri=data_uri('image/svg+xml', plot.svg.encode()))


def gallery(folder: Path) -> list[dict]:
    """The pictures that index.json names, each with its contents as ``uri``."""
    index = folder / 'index.json'
    if not index.exists():
        return []
    return [dict(image=entry['image'],
                 pictures=[dict(row, uri=data_uri('image/png', (folder / row['file']).read_bytes()))
                           for row in entry['rows']])
            for entry in json.loads(index.read_text(encoding='utf-8'))]


def data_uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'

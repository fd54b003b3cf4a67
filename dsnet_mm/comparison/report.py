"""The reports of a comparison: report.md and report.html."""
import base64
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from dsnet_mm.comparison.figures import (
    SCALE,
    Plot,
    difference,
    means,
    part_measure,
    part_plot,
    plots,
)
from dsnet_mm.comparison.intervals import breakdown, paired, verdict

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

Rows = list[list[str]]
NOTHING = '–'
PARTS = {'Object sizes': 'per_size', 'Classes': 'per_class'}
PAIRS = 'Each minus each before it'
PART_NOTE = 'means over the seeds, and differences over the seeds that both finished'


def write_reports(results: dict, folder: Path) -> None:
    """Writes report.md and report.html next to the pictures in ``folder/gallery``.

    Args:
        results (dict): The contents of results.json.
        folder (Path): The folder to write to; ``gallery/index.json`` in it names the pictures, if
            there are any.
    """
    (folder / 'report.md').write_text(markdown(results), encoding='utf-8')
    (folder / 'report.html').write_text(html(results, gallery(folder / 'gallery')),
                                        encoding='utf-8')


def report_table(results: dict) -> list[str]:
    """The main table as lines of Markdown."""
    return markdown_table(main_table(results))


def summary_table(results: dict) -> Table:
    """The main table for the console, with fewer columns."""
    return console_table([[*row[:5], row[7]] for row in main_table(results)], results['config'])


def console_table(rows: Rows, title: str) -> Table:
    """A header and rows for the console."""
    header, *body = rows
    table = Table(*(Column(Text(cell), overflow='fold') for cell in header), title=Text(title),
                  box=SIMPLE_HEAD, pad_edge=False)
    for row in body:
        table.add_row(*map(Text, row))
    return table


def compared(results: dict) -> str:
    """The word for what is compared: ``'resizer'``, or ``'variant'`` if other options differ."""
    # An earlier results.json has no options.
    has_options = any(values.get('options') for values in results['arms'].values())
    return 'variant' if has_options else 'resizer'


def main_table(results: dict) -> Rows:
    """The main table: a header, and a row for each variant."""
    first, *_ = results['arms']
    scale = SCALE[results['unit']]
    rows = [[compared(results), f'{results["metric"]}, %', 'seeds',
             f'minus {first}, points (95% CI)', 'verdict', 'parameters', 'of the resizer',
             'ms per image', 'small image moved']]
    for name, values in results['arms'].items():
        pair = None if name == first else results['paired'][f'{name}-{first}']
        spread = '' if values['std'] is None else f' ± {scale * values["std"]:.1f}'
        failed = sum(run['arm'] == name for run in results['failed'])
        rows.append([
            name,
            NOTHING if values['mean'] is None else f'{scale * values["mean"]:.1f}{spread}',
            f'{len(values["seeds"])}' + (f' ({failed} failed)' if failed else ''),
            NOTHING if pair is None or pair['mean'] is None else difference(pair, scale),
            'reference' if pair is None else verdict(pair),
            *(NOTHING if values[key] is None else f'{values[key]:,}'
              for key in ('params', 'resizer_params')),
            number(values['ms_per_image']),
            NOTHING if values['moved'] is None else f'{values["moved"]:.1f}%'])
    return rows


def pairs_table(results: dict) -> Rows:
    """The difference of each variant to each one before it; no rows for two variants or fewer."""
    names, scale = list(results['arms']), SCALE[results['unit']]
    seeds = {name: values['seeds'] for name, values in results['arms'].items()}
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
    """The mean of every class or object size, and its differences to the first variant."""
    first, *others = results['arms']
    scale = SCALE[results['unit']]
    values, averages = breakdown(results, part), means(results, part)
    header = [part.removeprefix('per_'), *results['arms'], *(f'{a} − {first}' for a in others)]
    rows = [[label, *(number(averages[label][variant]) for variant in results['arms']),
             *(signed(paired(seeds[variant], seeds[first])['mean'], scale) for variant in others)]
            for label, seeds in values.items()]
    return [header, *rows]


def number(value: float | None) -> str:
    return NOTHING if value is None else f'{value:.1f}'


def signed(value: float | None, scale: float) -> str:
    return NOTHING if value is None else f'{scale * value:+.1f}'.replace('-', '−')


def summary(results: dict) -> str:
    """A paragraph that says what was compared, and the result."""
    first, *others = results['arms']
    what = {'train': 'trained', 'resizer': 'frozen, and only what resizes trained',
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
        pairs = {variant: results['paired'][f'{variant}-{first}'] for variant in others}
        found = '; '.join(f'{variant}: {verdict(pair)}' + (
            '' if pair['n'] == 0 else f', {difference(pair, SCALE[results["unit"]])}')
            for variant, pair in pairs.items())
        sentences.append(f'Compared to {first}, in points with 95% intervals: {found}.')
    if results['failed']:
        total = len(results['runs']) + len(results['failed'])
        sentences.append(f'{len(results["failed"])} of {total} trainings failed.')
    return ' '.join(sentences)


def notes(results: dict) -> list[str]:
    """Notes on how to read the table."""
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
    if any(values['moved'] is not None for values in results['arms'].values()):
        lines.append('"Small image moved" is how far training changed the small image: the root '
                     "mean square difference in percent of the image's standard deviation.")
    if 'high-res' in results['arms']:
        lines.append('"high-res" is the model on the image that was not shrunk: what the others '
                     'can at best hope for.')
    return lines


def provenance(results: dict) -> Rows:
    """The command, the machine, the versions and the options of each variant."""
    runs = results['runs']
    devices = ', '.join(sorted({run['device'] for run in runs}))
    hours = sum(run['wall_time_s'] for run in runs) / 3600
    return [['command', results['command']],
            ['machine', results['machine']],
            ['versions', ', '.join(f'{k} {v}' for k, v in results['versions'].items())],
            ['trainings', f'{len(runs)} finished, {hours:.2f} hours together, on {devices}'],
            *([f'resizer {name}', str(values['resizer'])]
              for name, values in results['arms'].items()),
            *([f'options {name}', str(values['options'])]
              for name, values in results['arms'].items() if values.get('options'))]


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
            lines += [f'## {title}', '', f'{part_measure(results, part)} in percent: {PART_NOTE}.',
                      '', *markdown_table(part_table(results, part)), '']
    lines += ['## How it was run', '', *(f'- {escape(key)}: {escape(value)}'
                                         for key, value in provenance(results))]
    return '\n'.join(lines) + '\n'


def markdown_table(rows: Rows) -> list[str]:
    header, *body = (f'| {" | ".join(map(escape, row))} |' for row in rows)
    return [header, '|' + '---|' * len(rows[0]), *body]


def escape(text: str) -> str:
    """Escapes the characters of a text that Markdown reads as markup."""
    one_line = ' '.join(text.split())
    return re.sub(r'[\\`*|<&~\[\]]|(?<![^\W_])_|_(?![^\W_])', r'\\\g<0>', one_line)


def html(results: dict, images: Sequence[dict]) -> str:
    """The report as one HTML file that needs no others."""
    parts = [(title, part_measure(results, part), image(part_plot(results, part)),
              part_table(results, part))
             for title, part in PARTS.items() if means(results, part)]
    return render(
        results=results, compared=compared(results), summary=summary(results),
        table=main_table(results), pairs=pairs_table(results), pairs_title=PAIRS,
        notes=notes(results), parts=parts, part_note=PART_NOTE,
        figures=[image(plot) for plot in plots(results)], provenance=provenance(results),
        gallery=images)


def render(**contents: object) -> str:
    """Fills the template of the HTML reports."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template('report.html.j2').render(contents)


def image(plot: Plot) -> dict:
    """A plot as the template takes it, with its SVG as a data URI."""
    return dict(title=plot.title, alt=f'{plot.title}. {plot.alt}',
                uri=data_uri('image/svg+xml', plot.svg.encode()))


def gallery(folder: Path) -> list[dict]:
    """The entries of index.json, with the contents of each picture as a data URI."""
    index = folder / 'index.json'
    if not index.exists():
        return []
    return [dict(image=entry['image'],
                 pictures=[dict(row, uri=data_uri('image/png', (folder / row['file']).read_bytes()))
                           for row in entry['rows']])
            for entry in json.loads(index.read_text(encoding='utf-8'))]


def data_uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'

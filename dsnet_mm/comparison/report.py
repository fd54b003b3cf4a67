"""The reports of a comparison, report.md and report.html, for one size or several."""
import base64
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from dsnet_mm.comparison.figures import Plot, difference, part_plot, plots
from dsnet_mm.comparison.gallery import read_gallery
from dsnet_mm.comparison.intervals import PairedDifference, paired, summarize, verdict
from dsnet_mm.comparison.plan import HIGH_RES
from dsnet_mm.comparison.results import Curve, Results, reached

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

Rows = list[list[str]]  # the first one is the header
NOTHING = '–'
CURVE_NOTES = [
    'The band is the standard deviation over the seeds.',
    'The latency at all sizes was measured together: the median on the first validation images, '
    'one by one, in turns; on a CPU with one thread.',
    'A size that reaches an accuracy is read from the straight lines between the measured sizes.',
]


@dataclass
class Section:
    """A table with a title, and perhaps a note on it and a plot of it."""
    title: str
    rows: Rows
    note: str = ''
    plot: Plot | None = None


@dataclass
class Report:
    """What both files of a report show, from top to bottom."""
    title: str
    summary: str
    rows: Rows
    notes: list[str]
    plots: list[Plot]
    sections: list[Section]
    provenance: Rows


def write_reports(results: Results | Curve, folder: Path) -> None:
    """Writes report.md, and report.html with the pictures in ``folder/gallery`` if there are any.

    The plots of several sizes are written as SVG files as well.
    """
    report = report_of(results)
    for plot in report.plots:
        if plot.file:
            (folder / plot.file).write_text(plot.svg, encoding='utf-8')
    (folder / 'report.md').write_text(markdown(report, results), encoding='utf-8')
    (folder / 'report.html').write_text(html(report, results, folder / 'gallery'),
                                        encoding='utf-8')


def report_of(results: Results | Curve) -> Report:
    """The contents of a report."""
    if isinstance(results, Curve):
        return Report('Variants compared at several sizes', _curve_summary(results),
                      reach_table(results), CURVE_NOTES, plots(results),
                      [Section('All sizes', sizes_table(results))], _provenance(results))
    parts = (('Object sizes', 'per_size', 'mAP'),
             ('Classes', 'per_class', 'IoU' if results.unit == 'percent' else 'AP'))
    sections = [
        Section(title, part_table(results, part), f'{measure} in percent: means over the seeds, '
                'and differences over the seeds that both finished.',
                part_plot(results, part, measure))
        for title, part, measure in parts if results.breakdown(part)]
    if pairs := pairs_table(results):
        sections.insert(0, Section('Each minus each before it', pairs))
    return Report(f'{_compared(results).capitalize()}s compared', _summary(results),
                  main_table(results), _notes(results), plots(results), sections,
                  _provenance(results))


def summary_table(results: Results | Curve) -> Table:
    """The main table for the console, with fewer columns."""
    header, *body = reach_table(results) if isinstance(results, Curve) else [
        [*row[:5], row[7]] for row in main_table(results)]
    table = Table(*(Column(Text(cell), overflow='fold') for cell in header),
                  title=Text(results.config), box=SIMPLE_HEAD, pad_edge=False)
    for row in body:
        table.add_row(*map(Text, row))
    return table


def main_table(results: Results) -> Rows:
    """A row for each variant."""
    pairs, scale = results.pairs(), results.scale
    rows = [[_compared(results), f'{results.metric}, %', 'seeds',
             f'minus {next(iter(results.variants))}, points (95% CI)', 'verdict', 'parameters',
             'of the resizer', 'ms per image', 'change of the resized image']]
    for name, values in results.variants.items():
        pair = pairs.get(name)
        failed = sum(run.variant == name for run in results.failed)
        rows.append([
            name, _mean(values.mean, values.std, scale),
            f'{len(values.seeds)}' + (f' ({failed} failed)' if failed else ''),
            _difference(pair, scale), verdict(pair) if pair else 'reference',
            _cell(values.params, '{:,}'), _cell(values.resizer_params, '{:,}'),
            _cell(values.ms_per_image), _cell(values.image_change, '{:.1f}%')])
    return rows


def pairs_table(results: Results) -> Rows:
    """The difference of each variant to each one before it; no rows for two variants or fewer."""
    names = list(results.variants)
    if len(names) < 3:
        return []
    rows = [['minus, points (95% CI)', *names[:-1]]]
    for index, name in enumerate(names[1:], 1):
        pairs = [paired(results.variants[name].seeds, results.variants[other].seeds)
                 for other in names[:index]]
        cells = [f'{_difference(pair, results.scale)}, {verdict(pair)}' if pair.n else NOTHING
                 for pair in pairs]
        rows.append([name, *cells, *[''] * (len(names) - 1 - index)])
    return rows


def part_table(results: Results, part: str) -> Rows:
    """The mean of every class or object size, and its differences to the first variant."""
    first, *others = results.variants
    rows = [[part.removeprefix('per_'), *results.variants, *(f'{a} − {first}' for a in others)]]
    for label, seeds in results.breakdown(part).items():
        means = (summarize(list(values.values()))[0] for values in seeds.values())
        changes = (paired(seeds[name], seeds[first]).mean for name in others)
        rows.append([label, *(_cell(mean, scale=results.scale) for mean in means),
                     *(_cell(change, '{:+.1f}', results.scale) for change in changes)])
    return rows


def sizes_table(curve: Curve) -> Rows:
    """A row for each size and variant."""
    rows = [['size', 'pixels', 'variant', f'{curve.metric}, %', 'seeds', 'ms per image',
             f'minus {next(iter(curve.variants))}, points (95% CI)']]
    for size, pixels, *points in zip(curve.sizes, curve.pixels, *curve.variants.values()):
        rows += [[f'{size:g}', '×'.join(map(str, pixels.output)), name,
                  _mean(point.mean, point.std, curve.scale), str(len(point.seeds)),
                  _cell(point.ms_per_image), _difference(point.paired, curve.scale)]
                 for name, point in zip(curve.variants, points)]
    return rows


def reach_table(curve: Curve) -> Rows:
    """The size and latency at which the other variants reach the first one's accuracy."""
    first, *others = curve.variants
    rows = [[f'{first} at', f'{curve.metric}, %', 'ms', *(f'{name} needs' for name in others)]]
    for point in curve.variants[first]:
        if point.mean is None:
            continue
        row = [f'{point.size:g}', _cell(point.mean, scale=curve.scale), _cell(point.ms_per_image)]
        for name in others:
            if found := reached(curve.variants[name], point.mean):
                size, ms, exact = found
                row.append(f'{"" if exact else "at most "}{size:{".3g" if size < 1 else ".0f"}}, '
                           f'{ms:.1f} ms')
            else:
                row.append(f'more than {curve.sizes[-1]:g}')
        rows.append(row)
    return rows


def markdown(report: Report, results: Results | Curve) -> str:
    """The report as Markdown."""
    links = [f'![{plot.title}]({plot.file})\n' for plot in report.plots if plot.file]
    lines = [f'# {report.title}', '', escape(report.summary), '', *markdown_table(report.rows), '',
             *(f'- {escape(note)}' for note in report.notes), '',
             *(links or ['Plots and pictures are in [report.html](report.html).', ''])]
    for section in report.sections:
        lines += [f'## {section.title}', '', *([section.note, ''] if section.note else []),
                  *markdown_table(section.rows), '']
    if results.failed:
        lines += ['## Failed', '']
    for run in results.failed:
        lines += [f'{escape(run.variant)}, seed {run.seed}, ended with', '',
                  textwrap.indent(run.log, '    '), '']
    lines += ['## How it was run', '',
              *(f'- {escape(key)}: {escape(value)}' for key, value in report.provenance)]
    return '\n'.join(lines) + '\n'


def markdown_table(rows: Rows) -> list[str]:
    """The lines of a table."""
    header, *body = (f'| {" | ".join(map(escape, row))} |' for row in rows)
    return [header, '|' + '---|' * len(rows[0]), *body]


def escape(text: str) -> str:
    """Escapes the characters of a text that Markdown reads as markup."""
    one_line = ' '.join(text.split())
    return re.sub(r'[\\`*|<&~\[\]]|(?<![^\W_])_|_(?![^\W_])', r'\\\g<0>', one_line)


def html(report: Report, results: Results | Curve, gallery: Path) -> str:
    """The report as one HTML file that needs no others."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters['data_uri'] = (
        lambda content, kind: f'data:{kind};base64,{base64.b64encode(content).decode()}')
    return environment.get_template('report.html.j2').render(
        report=report, results=results, read=lambda file: (gallery / file).read_bytes(),
        gallery=[] if isinstance(results, Curve) else read_gallery(gallery))


def _compared(results: Results) -> str:
    """The word for what is compared: ``'resizer'``, or ``'variant'`` if other options differ."""
    has_options = any(values.options for values in results.variants.values())
    return 'variant' if has_options else 'resizer'


def _summary(results: Results) -> str:
    """A paragraph that says what was compared, and the result."""
    what = {'train': 'trained', 'finetune': 'fine-tuned',
            'resizer': 'frozen and only the resizer and guided upsampling trained'}[results.mode]
    source = f', loaded from {results.checkpoint},' if results.checkpoint else ''
    seeds = sorted({run.seed for run in results.runs} | {run.seed for run in results.failed})
    high, low = (f'{h}×{w}' for h, w in (results.pixels.input, results.pixels.output))
    text = (f'The model of {results.config}{source} was {what}, with each of these '
            f'{_compared(results)}s: {", ".join(results.variants)}. '
            f'Seeds: {", ".join(map(str, seeds))}. Metric: {results.metric}. '
            f'The first validation image has {high} pixels, and {low} after the resizer.')
    if pairs := results.pairs():
        found = '; '.join(f'{name}: {verdict(pair)}' + (
            f', {difference(pair, results.scale)}' if pair.n else '')
            for name, pair in pairs.items())
        text += (f' Compared to {next(iter(results.variants))}, in points with 95% intervals: '
                 f'{found}.')
    if failed := len(results.failed):
        text += f' {failed} of {failed + len(results.runs)} trainings failed.'
    return text


def _curve_summary(curve: Curve) -> str:
    seeds = sorted({int(seed) for points in curve.variants.values()
                    for point in points for seed in point.seeds})
    return (f'The model of {curve.config} at the sizes '
            f'{", ".join(f"{size:g}" for size in curve.sizes)} with each of these variants: '
            f'{", ".join(curve.variants)}. Seeds: {", ".join(map(str, seeds))}. Each size has a '
            'report of its own, in size-…/.')


def _notes(results: Results) -> list[str]:
    """Notes on how to read the main table."""
    pairs = results.pairs()
    lines = ['± is the standard deviation over the seeds. A difference is the mean over the seeds '
             "that both finished; in brackets, Student's 95% confidence interval for pairs. "
             '"Better" means that all of the interval lies above zero, "worse" that all of it lies '
             'below. It covers the variation between seeds, not the choice of the images.']
    if any(pair.n == 1 for pair in pairs.values()):
        lines.append('One seed has no interval: its difference may be chance. Compare with three '
                     'or more (--seeds 0 1 2).')
    if len(pairs) > 1:
        lines.append(f'The {len(pairs)} intervals are not adjusted for multiple comparisons: with '
                     f'more {_compared(results)}s it is likelier that one looks better or worse by '
                     'chance.')
    if any(values.image_change is not None for values in results.variants.values()):
        lines.append('"Change of the resized image" is how much training changed it: the root mean '
                     "square difference in percent of the image's standard deviation.")
    if HIGH_RES in results.variants:
        lines.append(f'"{HIGH_RES}" is the model on the input image, without a resizer: the upper '
                     'bound that the others can approach.')
    return lines


def _provenance(results: Results | Curve) -> Rows:
    """The command, the machine, the versions, and the runs and variants of one size."""
    rows = [['command', results.command], ['machine', results.machine],
            ['versions', ', '.join(f'{k} {v}' for k, v in results.versions.items())]]
    if isinstance(results, Results):
        devices = ', '.join(sorted({run.device for run in results.runs}))
        hours = sum(run.wall_time_s for run in results.runs) / 3600
        variants = results.variants.items()
        rows += [['trainings', f'{len(results.runs)} finished, {hours:.2f} hours together, on '
                               f'{devices}'],
                 *([f'resizer {name}', str(values.resizer)] for name, values in variants),
                 *([f'options {name}', str(values.options)] for name, values in variants
                   if values.options)]
    return rows


def _cell(value: float | None, pattern: str = '{:.1f}', scale: int = 1) -> str:
    return NOTHING if value is None else pattern.format(scale * value).replace('-', '−')


def _mean(mean: float | None, std: float | None, scale: int) -> str:
    return _cell(mean, scale=scale) + ('' if std is None else f' ± {scale * std:.1f}')


def _difference(pair: PairedDifference | None, scale: int) -> str:
    return difference(pair, scale) if pair and pair.n else NOTHING

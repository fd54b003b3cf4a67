"""The reports of made-up results, with all that can go wrong in names."""
import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

from dsnet_mm.comparison.gallery import ImagePictures, Picture
from dsnet_mm.comparison.intervals import paired, summarize
from dsnet_mm.comparison.report import (
    main_table,
    markdown,
    markdown_table,
    report_of,
    summary_table,
    write_reports,
)
from dsnet_mm.comparison.results import (
    FailedRun,
    Pixels,
    Results,
    RunResult,
    VariantResult,
    read,
    save,
)

import cv2
import numpy as np
import pytest
from rich.console import Console

MARKUP = '<script>alert(1)</script>'
VALUES = {'bilinear': {'0': 0.30, '1': 0.40, '2': 0.50},
          'downsizenet': {'0': 0.34, '1': 0.42, '2': 0.54},
          'area': {'0': 0.29, '1': 0.40}}
# By hand: differences 4, 2, 4 with standard deviation 1.1547 and t(0.975, 2) = 4.3027; for area
# -1 and 0 with 0.7071 and t(0.975, 1) = 12.7062.
TABLE = [
    '| bilinear | 40.0 ± 10.0 | 3 | – | reference | 1,000,000 | 0 | 10.0 | – |',
    '| downsizenet | 43.3 ± 10.1 | 3 | +3.33 (0.46 to 6.20) | better | 1,002,980 | 2,980 | 20.5 '
    '| 7.5% |',
    '| area | 34.5 ± 7.8 | 2 (1 failed) | −0.50 (−6.85 to 5.85) | no difference shown '
    '| 1,000,000 | 0 | – | – |']


def make_results(values: dict[str, dict[str, float]], classes: tuple[str, str] = ('cat', 'dog'),
                 failed: tuple[tuple[str, int], ...] = ()) -> Results:
    """Results with these values; 'cat' is 0.1 above, 'dog' 0.1 below the metric."""
    variants, runs = {}, []
    for name, seeds in values.items():
        learned = name == 'downsizenet'
        variants[name] = VariantResult(
            seeds, *summarize(list(seeds.values())), params=1_000_000 + 2980 * learned,
            ms_per_image={'bilinear': 10.0, 'downsizenet': 20.5}.get(name), options={},
            resizer=dict(type='DownsizeNet') if learned else dict(type='FixedResizer', mode=name),
            resizer_params=2980 * learned, image_change=7.5 if learned else None)
        runs += [RunResult(name, int(seed), value, wall_time_s=360.0, device='cpu',
                           per_class={classes[0]: value + 0.1, classes[1]: value - 0.1},
                           per_size={'small': 0.8 * value, 'large': None},
                           curve=[[1, value / 3], [2, value / 2], [3, value]])
                 for seed, value in seeds.items()]
    first, *others = values
    return Results(
        config='configs/mini/some.py', metric='pascal_voc/mAP', variants=variants,
        paired={f'{name}-{first}': paired(values[name], values[first]) for name in others},
        unit='fraction', step='epoch', classes=list(classes), mode='train', checkpoint=None,
        runs=runs, pixels=Pixels([300, 400], [165, 220]), versions={'torch': '2.14'},
        failed=[FailedRun(name, seed, 'Traceback\n  in training\nRuntimeError: broken')
                for name, seed in failed],
        machine='two cores', command='dsnet-mm compare configs/mini/some.py',
        resolved_config="model = dict(type='Some')")


def report_table(results: Results) -> list[str]:
    return markdown_table(main_table(results))


@pytest.fixture
def results() -> Results:
    return make_results(VALUES, failed=(('area', 2), ))


@pytest.fixture
def hostile() -> Results:
    """Results with markup and long words wherever a user's text gets in."""
    values = {'bilinear': VALUES['bilinear'], MARKUP: VALUES['downsizenet']}
    results = make_results(values, classes=(MARKUP, 'a|$x^2$*b*' + 60 * 'w'),
                           failed=((MARKUP, 7), ))
    results.failed[0].log = MARKUP + 300 * 'w'
    for key in 'config', 'metric', 'checkpoint', 'machine', 'command', 'resolved_config':
        setattr(results, key, MARKUP + 80 * 'w')
    return results


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a gallery of one image in two versions."""
    pictures = [Picture(f'{name} {MARKUP}', f'{name}.png') for name in ('large', 'small')]
    (tmp_path / 'gallery').mkdir()
    for picture, width in zip(pictures, (800, 40)):
        image = np.full((30, width, 3), 99, np.uint8)
        assert cv2.imwrite(str(tmp_path / 'gallery' / picture.file), image)
    save([ImagePictures(f'first {MARKUP}', pictures)], tmp_path / 'gallery/index.json')
    return tmp_path


class Page(HTMLParser):
    """What of a page the tests ask for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ''
        self.feed((folder / 'report.html').read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')

    def handle_data(self, data):
        self.text += data
        if self.tags and self.tags[-1][0] in ('td', 'th'):
            self.tables[-1][-1][-1] += data.rstrip('\n')

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_table(results):
    header, rule, *rows = report_table(results)
    assert rows == TABLE
    assert header.startswith('| resizer | pascal_voc/mAP, % | seeds | minus bilinear, points (95% ')
    assert rule.count('---') == header.count('|') - 1


def test_variants_of_options_are_not_called_resizers(results, folder):
    results.variants['downsizenet'].options = {'model.neck.type': 'dsnet_mm.DownsizeFPN'}
    write_reports(results, folder)
    text = (folder / 'report.md').read_text()
    assert text.startswith('# Variants compared') and '| variant | pascal' in text
    assert "options downsizenet: {'model.neck.type': 'dsnet" in text
    assert '<h1>Variants compared</h1>' in (folder / 'report.html').read_text()
    results.variants['downsizenet'].options = {}
    write_reports(results, folder)
    text = (folder / 'report.md').read_text()
    assert text.startswith('# Resizers compared') and 'options' not in text
    assert '<h1>Resizers compared</h1>' in (folder / 'report.html').read_text()


def test_percent_is_not_scaled(results):
    values = {name: {seed: 100 * value for seed, value in seeds.items()}
              for name, seeds in VALUES.items()}
    percent = replace(make_results(values, failed=(('area', 2), )), unit='percent')
    assert report_table(percent) == report_table(results)


def test_parts_have_a_measure_of_their_own(results):
    """Of classes and sizes AP is measured, whatever the metric of all together."""
    results.metric = 'pascal_voc/pooled_AP50'
    text = markdown(report_of(results), results)
    assert '## Object sizes\n\nmAP in percent' in text and '## Classes\n\nAP in percent' in text
    results = replace(results, metric='mIoU', unit='percent')
    assert '## Classes\n\nIoU in percent' in markdown(report_of(results), results)


def test_both_reports_have_the_same_tables(results, tmp_path):
    write_reports(results, tmp_path)
    markdown = (tmp_path / 'report.md').read_text()
    page = Page(tmp_path)
    main, pairs, sizes, classes = page.tables
    assert [f'| {" | ".join(row)} |' for row in main[1:]] == TABLE
    # Area minus downsizenet: -5 and -2 with standard deviation 2.1213.
    assert pairs[1:] == [
        ['downsizenet', '+3.33 (0.46 to 6.20), better', ''],
        ['area', '−0.50 (−6.85 to 5.85), no difference shown',
         '−3.50 (−22.56 to 15.56), no difference shown']]
    # The mean of downsizenet is 43.33 and its class cat lies 10 points above; area lacks seed 2,
    # over the other two its difference is -0.5.
    assert classes[1:] == [['cat', '50.0', '53.3', '44.5', '+3.3', '−0.5'],
                           ['dog', '30.0', '33.3', '24.5', '+3.3', '−0.5']]
    assert sizes[1:] == [['small', '32.0', '34.7', '27.6', '+2.7', '−0.4'],
                         ['large', '–', '–', '–', '–', '–']]
    for row in [*main[1:], *pairs[1:], *sizes[1:], *classes[1:]]:
        assert f'| {" | ".join(row)} |\n' in markdown
    assert 'not adjusted for multiple comparisons' in markdown
    assert 'not adjusted for multiple comparisons' in page.text


def test_what_happened_is_told(results, tmp_path):
    write_reports(results, tmp_path)
    for text in (tmp_path / 'report.md').read_text(), Page(tmp_path).text:
        assert 'downsizenet: better, +3.33 (0.46 to 6.20)' in text
        assert 'area: no difference shown, −0.50 (−6.85 to 5.85)' in text
        assert '300×400 pixels, and 165×220 after' in text
        assert '1 of 9 trainings failed' in text and 'RuntimeError: broken' in text
        assert '8 finished, 0.80 hours together, on cpu' in text
        assert 'torch 2.14' in text and 'dsnet-mm compare' in text
        assert "{'type': 'FixedResizer', 'mode': 'area'}" in text.replace('\\', '')
        assert 'One seed has no interval' not in text and 'high-res' not in text
    assert "model = dict(type='Some')" in Page(tmp_path).text


@pytest.mark.parametrize('mode, words', [
    ('train', 'some.py was trained, with'),
    ('resizer', 'loaded from a.pth, was frozen and only the resizer and guided upsampling trained'),
    ('finetune', 'some.py, loaded from a.pth, was fine-tuned, with')])
def test_mode(results, tmp_path, mode, words):
    checkpoint = None if mode == 'train' else 'a.pth'
    write_reports(replace(results, mode=mode, checkpoint=checkpoint), tmp_path)
    assert words in Page(tmp_path).text


def test_results_are_written_and_read_back(results, tmp_path):
    save(results, tmp_path / 'results.json')
    assert read(tmp_path) == results


@pytest.mark.parametrize('old, new, message', [
    ('"variants"', '"arms"', 'Results has unknown or missing keys: arms, variants'),
    ('"image_change"', '"moved"', 'VariantResult has unknown or missing keys: image_change, moved'),
    ('"metric": "pascal_voc/mAP",', '', 'Results has unknown or missing keys: metric')])
def test_results_of_another_version_are_refused_with_the_remedy(
        results, tmp_path, old, new, message):
    file = tmp_path / 'results.json'
    save(results, file)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ValueError, match=f'{file} is of .*{message}. Delete it and run the same'):
        read(tmp_path)


def test_breakdown_leaves_out_what_is_not_defined():
    results = make_results({'x': {'0': 0.5, '1': 0.7}, 'y': {}})
    for run, dog in zip(results.runs, (None, 0.1)):
        run.per_class, run.per_size = {'cat': run.value, 'dog': dog}, {}
    results.runs[1].per_size = {'small': 0.2}
    assert results.breakdown('per_class') == {'cat': {'x': {'0': 0.5, '1': 0.7}, 'y': {}},
                                              'dog': {'x': {'1': 0.1}, 'y': {}}}
    assert results.breakdown('per_size') == {'small': {'x': {'1': 0.2}, 'y': {}}}


def test_one_seed_is_said_to_show_nothing(tmp_path):
    results = make_results({'bilinear': {'0': 0.30}, 'downsizenet': {'0': 0.34}})
    write_reports(results, tmp_path)
    assert report_table(results)[3].startswith(
        '| downsizenet | 34.0 | 1 | +4.00 | one seed, no interval |')
    for text in (tmp_path / 'report.md').read_text(), Page(tmp_path).text:
        assert 'downsizenet: one seed, no interval, +4.00.' in text
        assert 'One seed has no interval: its difference may be chance.' in text
        assert 'multiple comparisons' not in text and 'failed' not in text.lower()


def test_a_variant_of_which_all_failed(tmp_path):
    results = make_results({'bilinear': {'0': 0.30}, 'area': {}}, failed=(('area', 0), ))
    write_reports(results, tmp_path)
    assert report_table(results)[3].startswith('| area | – | 0 (1 failed) | – | no common seed |')
    assert Page(tmp_path).tables[2][1:] == [['cat', '40.0', '–', '–'], ['dog', '20.0', '–', '–']]


def test_one_variant_without_classes_or_sizes(tmp_path):
    results = make_results({'high-res': {'0': 0.30, '1': 0.50}})
    results.classes = []
    for run in results.runs:
        run.per_class, run.per_size, run.curve = {}, {}, []
    write_reports(results, tmp_path)
    page = Page(tmp_path)
    assert [row[:5] for row in page.tables[0][1:]] == [
        ['high-res', '40.0 ± 14.1', '2', '–', 'reference']]
    assert len(page.tables) == 1 and page.all('img') == [] and 'Plots' not in page.text
    assert 'without a resizer: the upper bound' in page.text


def test_console_table(results):
    out = StringIO()
    Console(width=200, file=out).print(
        summary_table(replace(results, config='a [bold]config[/bold]')))
    text = out.getvalue()
    assert 'a [bold]config[/bold]' in text
    assert re.search(r'downsizenet +43\.3 ± 10\.1 +3 +\+3\.33 \(0\.46 to 6\.20\) +better +20\.5',
                     text)


def test_the_page_needs_nothing_else(results, folder):
    write_reports(results, folder)
    page = Page(folder)
    sources = [value for _, attributes in page.tags for key, value in attributes.items()
               if key in ('src', 'href', 'srcset', 'action', 'data')]
    assert len(sources) == 1 + 5 + 2  # the icon, the plots, the gallery
    assert all(source.startswith('data:') for source in sources)
    html = (folder / 'report.html').read_text()
    assert 'url(' not in html and '@import' not in html
    assert page.all('meta')[1]['content'].startswith('width=device-width')


def test_pictures_have_words(results, folder):
    write_reports(results, folder)
    page = Page(folder)
    alts = [image['alt'] for image in page.all('img')]
    assert alts[0] == ('Difference to bilinear: 95% interval and the seeds. '
                       'downsizenet: +3.33 (0.46 to 6.20); area: −0.50 (−6.85 to 5.85)')
    assert alts[1].endswith('bilinear: 1 to 3 epochs, 13.3 to 40.0; '
                            'downsizenet: 1 to 3 epochs, 14.4 to 43.3; '
                            'area: 1 to 3 epochs, 11.5 to 34.5')
    assert alts[2] == 'Milliseconds per image. bilinear: 10.0; downsizenet: 20.5'
    assert alts[-2:] == [f'first {MARKUP}: large {MARKUP}', f'first {MARKUP}: small {MARKUP}']
    embedded = [base64.b64decode(image['src'].split(',')[1]) for image in page.all('img')[-2:]]
    assert embedded == [(folder / f'gallery/{name}.png').read_bytes()
                        for name in ('large', 'small')]
    assert f'first {MARKUP}' in page.text and f'large {MARKUP}' in page.text


def test_a_picture_that_is_missing_is_an_error(results, folder):
    (folder / 'gallery/small.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'small\.png'):
        write_reports(results, folder)


def test_markup_stays_text(hostile, folder):
    write_reports(hostile, folder)
    page = Page(folder)
    assert page.all('script') == []
    assert page.tables[0][2][0] == page.tables[2][1][0] == MARKUP
    assert page.tables[2][2][0] == hostile.classes[1]
    assert page.text.count(MARKUP) >= 20
    markdown = (folder / 'report.md').read_text()
    log = f'    {hostile.failed[0].log}\n'  # as code, where markup is text
    assert log in markdown
    assert re.findall(r'(?<!\\)<', markdown.replace(log, '')) == []
    row, = (line for line in markdown.splitlines() if line.startswith(r'| a\|$x^2$\*b\*www'))
    assert len(re.findall(r'(?<!\\)\|', row)) == 5


def test_markup_stays_text_in_plots(hostile, folder):
    write_reports(hostile, folder)
    plots = [image['src'] for image in Page(folder).all('img')][:5]
    for plot in plots:
        tree = ElementTree.fromstring(base64.b64decode(plot.split(',')[1]))
        assert not [element for element in tree.iter() if element.tag.endswith('script')]
        # A phone's width, whatever the length of the names.
        assert float(tree.get('width').removesuffix('pt')) == pytest.approx(4.8 * 72)
    texts = [element.text for element in tree.iter() if element.tag.endswith('text')]
    assert '<script>alert(1)<…' in texts and 'a|$x^2$*b*wwwwwww…' in texts


def test_plots_take_any_characters(tmp_path, recwarn):
    results = make_results(VALUES, classes=('汽车', '$x'))
    write_reports(results, tmp_path)
    plot = base64.b64decode(Page(tmp_path).all('img')[-1]['src'].split(',')[1]).decode()
    assert '>汽车</text>' in plot and '>$x</text>' in plot
    assert recwarn.list == []


# Runs in the page, which is in a frame of a phone's width: a window has a least width of its own.
PROBE = '''<script>addEventListener('load', () => {
  console.error('console is heard');
  parent.postMessage(JSON.stringify({
    width: innerWidth, page: document.documentElement.scrollWidth,
    images: [...document.images].map(i => [i.complete && i.naturalWidth > 0,
                                           i.getBoundingClientRect().right <= innerWidth]),
    scrolls: [...document.querySelectorAll('.scroll')].map(s => s.scrollWidth > s.clientWidth)
  }), '*')
})</script></body>'''
FRAME = '''<!DOCTYPE html><body><script>
addEventListener('message', event => { document.body.textContent = event.data })
</script><iframe src="probed.html" width="390" height="800" style="border: 0"></iframe></body>'''


@pytest.fixture(scope='session')
def browser() -> list[str]:
    """A command that opens a page, but for the page."""
    names = 'chromium', 'chromium-browser', 'google-chrome'
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(names)} is installed')
    return [found, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
            '--window-size=390,2000', '--virtual-time-budget=5000', '--enable-logging=stderr',
            '--v=0']


# With three variants there is a table of all pairs, too.
@pytest.mark.parametrize('which, tables', [('results', 4), ('hostile', 3)])
def test_on_a_phone(which, tables, folder, browser, request):
    write_reports(request.getfixturevalue(which), folder)
    html = (folder / 'report.html').read_text()
    (folder / 'probed.html').write_text(html.replace('</body>', PROBE))
    (folder / 'frame.html').write_text(FRAME)
    opened = subprocess.run([*browser, f'--user-data-dir={folder / "profile"}', '--dump-dom',
                             (folder / 'frame.html').as_uri()],
                            capture_output=True, text=True, timeout=120)
    found = json.loads(re.search('<body>(.*?)</body>', opened.stdout).group(1))
    assert found['width'] == found['page'] == 390
    assert found['images'] == [[True, True]] * 7
    assert found['scrolls'] == [True] * tables  # the tables are wider, each in its own container
    messages = [line for line in opened.stderr.splitlines() if 'CONSOLE' in line]
    assert len(messages) == 1 and 'console is heard' in messages[0]


def test_screenshot(results, folder, browser):
    write_reports(results, folder)
    picture = folder / 'phone.png'
    subprocess.run([*browser, f'--user-data-dir={folder / "profile"}', f'--screenshot={picture}',
                    (folder / 'report.html').as_uri()], capture_output=True, timeout=120,
                   check=True)
    pixels = cv2.imread(str(picture))
    assert pixels.shape == (2000, 390, 3)
    # Bilinear's grey and downsizenet's blue, of the plots (BGR).
    for color in (0x99, 0x90, 0x8b), (0xd6, 0x83, 0x1f):
        assert (np.abs(pixels.astype(int) - color).max(axis=-1) <= 2).sum() > 500

"""One word for one thing: words that the project's prose does not use, and what it says instead."""
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').rglob('*.md'),
         *(ROOT / 'configs').rglob('*.md'), *(ROOT / 'dsnet_mm').rglob('*.md')]
SOURCES = [path for folder in ('dsnet_mm', 'configs', 'tools')
           for path in (ROOT / folder).rglob('*.py') if '.mim' not in path.parts]
SCRIPTS = [*(ROOT / 'tools').glob('*.sh'), *(ROOT / 'configs').rglob('*.yml'),
           *(ROOT / 'dsnet_mm').rglob('*.j2')]
INSTEAD = {
    r'\blearn(s|t|ed|ing)? on\b(?! (the|its|their|a|each|images|data)\b)': 'fine-tune',
    r'\b(go|goes|going|went) on from\b': 'fine-tune',
    r'\bof the sides\b(?!,? (changes|differ))': 'scale 0.3, at 0.3×',
    r'\b(full-size|unresized|unshrunk|high-res|high-resolution) (image|input)s?\b': 'input image',
    r'\b(the|a|each|every|one) large images?\b': 'input image',
    r'\bshrunk images?\b|\b(the|a|each|every|one) small images?\b': 'resized image',
    r'\bconvex weights\b|\b(four|nine) weights\b': 'coefficients',
    r'\bweights of the (four|nine|neighbours|samples)\b': 'coefficients',
    r'\barms?\b': 'variant',
    r'\bway (back )?up\b': 'guided upsampling',
    r'\bdearer\b|\bsooner\b|\bspent otherwise\b': 'latency, multiply-adds',
    r'\blosers?\b': 'negative result',
    r'\bbeside other work\b': 'on a loaded machine',
    r'\btrained on whole images\b|\bmodels? of (the )?whole images?\b':
        'pre-trained on full-resolution crops',
    r'\bAP50 (over|of) all classes\b|\bover all classes together\b':
        'pooled AP50 (all classes ranked together)',
    r'\bmade images?\b': 'synthetic images',
    r'\basked for a prediction\b': 'smoke-tested',
    r'\bbuilt aside\b': 'initialised under a separate random state',
    r'\bno place in (one|a) graph\b': 'cannot be expressed as one graph',
    r'\bonly files have\b': '`--images` and `--pytorch` need mode `files`',
    r'\bmend(s|ed|ing)?\b': 'fix',
}


def texts(path: Path) -> Iterator[str]:
    """What people read in a file, without code in backticks: all of a page, comments and strings of
    a source."""
    content = path.read_text(encoding='utf-8')
    found = [content] if path.suffix != '.py' else _comments_and_strings(content)
    yield from (' '.join(re.sub(r'`[^`]+`', '', text).split()) for text in found)


def _comments_and_strings(content: str) -> Iterator[str]:
    yield from (token.string for token in tokenize.generate_tokens(io.StringIO(content).readline)
                if token.type == tokenize.COMMENT)
    yield from (node.value for node in ast.walk(ast.parse(content))
                if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize('words, instead', INSTEAD.items())
def test_one_word_for_one_thing(words, instead):
    pattern = re.compile(words, flags=re.IGNORECASE)
    found = [f'{path.relative_to(ROOT)}: {text[max(0, match.start() - 30):match.end() + 30]!r}'
             for path in (*PAGES, *SOURCES, *SCRIPTS) for text in texts(path)
             for match in pattern.finditer(text)]
    assert not found, f'say {instead!r}:\n' + '\n'.join(found)


def test_every_kind_of_file_is_read():
    assert len(PAGES) > 15 and len(SOURCES) > 150 and len(SCRIPTS) > 5
    example = ' '.join(texts(ROOT / 'dsnet_mm/resizers/ops/size.py'))
    assert 'scale must be positive' in example and 'Height and width in pixels' in example

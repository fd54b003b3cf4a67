"""What is compared: resizers by name, or options of a config."""
import ast
import re

from dsnet_mm.config import RESIZER

ARMS = {
    'bilinear': dict(type='FixedResizer', mode='bilinear'),
    'bicubic': dict(type='FixedResizer', mode='bicubic'),
    'area': dict(type='FixedResizer', mode='area'),
    'antialias': dict(type='FixedResizer', mode='bilinear', antialias=True),
    'nearest': dict(type='FixedResizer', mode='nearest'),
    # The paper's: texture decides alone, so without the prior, which knows the distances.
    'texture-only': dict(type='DownsizeNet', use_distance=False, bilinear_prior=False),
    'downsizenet': dict(type='DownsizeNet'),
    'downsizenet-v2': dict(type='DownsizeNetV2'),
    'downsizenet-v2-antialias': dict(type='DownsizeNetV2', prior='antialias'),
    'talebi-milanfar': dict(type='TalebiMilanfarResizer'),
    'muller': dict(type='MULLER'),
}

GUIDED = 'model.decode_head.guided'  # of a GuidedHead
WAYS_UP = ('bilinear', 'guided')


def parse_arm(text: str) -> tuple[str, dict]:
    """Reads ``downsizenet``, or ``wide=dict(type='DownsizeNet', channels=32)`` for one's own.

    Returns:
        tuple[str, dict]: The arm's name and its resizer's config.

    Raises:
        ValueError: If the name is unknown, or what follows it is no ``dict(...)`` of plain values.
    """
    name, equals, value = text.partition('=')
    if not equals:
        if name not in ARMS:
            raise ValueError(f'unknown arm {name!r}: use one of {", ".join(ARMS)}, '
                             "or name=dict(type='DownsizeNet', ...) for your own")
        return name, dict(ARMS[name])
    _check_name(name)
    return name, _parse_dict(value)


def parse_options(text: str) -> tuple[str, dict]:
    """Reads an arm of a comparison: a resizer, as :func:`parse_arm` does, or options of the config,
    as in ``learned={'model.neck.type': 'dsnet_mm.DownsizeFPN'}``. With a config that has a guided
    head, ``downsizenet-v2+guided`` and ``downsizenet-v2+bilinear`` say how it enlarges logits, too.

    Returns:
        tuple[str, dict]: The arm's name and the options that it sets.

    Raises:
        ValueError: If it is neither.
    """
    name, _, value = text.partition('=')
    resizer, plus, way_up = text.rpartition('+')
    if plus and way_up in WAYS_UP:
        return text, {RESIZER: parse_arm(resizer)[1], GUIDED: way_up == 'guided'}
    if not value.startswith('{'):
        name, resizer = parse_arm(text)
        return name, {RESIZER: resizer}
    _check_name(name)
    try:
        options = ast.literal_eval(value)
    except (SyntaxError, ValueError, TypeError):
        options = None
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise ValueError("an arm's options must be {'model.neck.type': 'FPN', ...}, a Python dict "
                         f'of plain values by dotted keys, got {value!r}')
    return name, options


def _check_name(name: str) -> None:
    # It becomes a folder's.
    if not re.fullmatch(r'[\w.+-]*\w', name):
        raise ValueError(f'an arm is named with letters, digits and ._+-, got {name!r}')


def _parse_dict(text: str) -> dict:
    message = f"an arm's resizer must be dict(key=value, ...) of plain values, got {text!r}"
    try:
        node = ast.parse(text, mode='eval').body
    except SyntaxError:
        raise ValueError(message) from None
    is_dict = (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
               and node.func.id == 'dict' and not node.args)
    if not is_dict or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError(message)
    return {keyword.arg: _literal(keyword.value, message) for keyword in node.keywords}


def _literal(node: ast.expr, message: str) -> object:
    if isinstance(node, ast.Call):
        return _parse_dict(ast.unparse(node))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(message) from None

"""Variants of a config by name: resizers, or other options of the config."""
import ast
import re

from dsnet_mm.config import RESIZER

VARIANTS: dict[str, dict] = {
    'bilinear': dict(type='FixedResizer', mode='bilinear'),
    'bicubic': dict(type='FixedResizer', mode='bicubic'),
    'area': dict(type='FixedResizer', mode='area'),
    'antialias': dict(type='FixedResizer', mode='bilinear', antialias=True),
    'nearest': dict(type='FixedResizer', mode='nearest'),
    # The paper's ablation without distances, on which the bilinear prior depends too.
    'texture-only': dict(type='DownsizeNet', use_distance=False, bilinear_prior=False),
    'downsizenet': dict(type='DownsizeNet'),
    'downsizenet-v2': dict(type='DownsizeNetV2'),
    'downsizenet-v2-antialias': dict(type='DownsizeNetV2', prior='antialias'),
    'downsizenet-v2+detail': dict(type='DownsizeNetV2', detail_channels=8),
    'space-to-depth': dict(type='SpaceToDepth'),
    'talebi-milanfar': dict(type='TalebiMilanfarResizer'),
    'muller': dict(type='MULLER'),
}

GUIDED = 'model.decode_head.guided'  # option of a GuidedHead
UPSAMPLINGS: dict[str, dict] = {'': {}, '+bilinear': {GUIDED: False}, '+guided': {GUIDED: True}}


def parse_variant(text: str) -> tuple[str, dict]:
    """Reads the name of a variant and the options that it sets in the config.

    The text is one of

    - ``downsizenet`` or another name in :data:`VARIANTS`;
    - ``downsizenet-v2+guided``, ``downsizenet-v2+detail+guided`` or ``downsizenet-v2+bilinear``, a
      resizer and how the config's ``GuidedHead`` upsamples its logits;
    - ``wide={'type': 'DownsizeNet', 'channels': 32}``, the config of a resizer;
    - ``learned={'model.neck.type': 'dsnet_mm.DownsizeFPN'}``, other options of the config.

    Raises:
        ValueError: If the name is unknown, or the value is not a dict of plain values.
    """
    name, equals, value = text.partition('=')
    if equals:
        if not re.fullmatch(r'[\w.+-]*\w', name):  # it names a folder
            raise ValueError('the name of a variant has letters, digits and ._+- only, got '
                             f'{name!r}')
        options = _parse_dict(value)
        return name, {RESIZER: options} if 'type' in options else options
    resizer, plus, upsampling = (name, '', '') if name in VARIANTS else name.rpartition('+')
    if resizer not in VARIANTS or plus + upsampling not in UPSAMPLINGS:
        raise ValueError(f'unknown variant {name!r}: use one of {", ".join(VARIANTS)}, '
                         "or name={'type': 'DownsizeNet', ...} for another resizer")
    return name, {RESIZER: dict(VARIANTS[resizer]), **UPSAMPLINGS[plus + upsampling]}


def parse_resizer(text: str) -> tuple[str, dict]:
    """Reads the name and the config of a resizer; the text is that of :func:`parse_variant`.

    Raises:
        ValueError: As :func:`parse_variant`, or if it sets other options of the config.
    """
    name, options = parse_variant(text)
    if options.keys() != {RESIZER}:
        raise ValueError(f'{name} is not a resizer: use one of {", ".join(VARIANTS)}, '
                         "or name={'type': 'DownsizeNet', ...}")
    return name, options[RESIZER]


def _parse_dict(text: str) -> dict:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(
            "a variant must be name={'type': 'DownsizeNet', ...} for a resizer, or "
            "name={'model.neck.type': 'FPN', ...} for other options of the config, a Python dict "
            f'of plain values, without calls such as dict(...); got {text!r}')
    return value

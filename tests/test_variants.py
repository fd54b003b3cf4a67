from dsnet_mm import variants
from dsnet_mm.config import RESIZER, build_model, load_config, merge_options
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import BilinearUpsampling, GuidedUpsampling

import numpy as np
import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize('name', variants.VARIANTS)
def test_every_variant_resizes(name):
    images = torch.rand(2, 3, 30, 40) * 255
    resized = build_resizer(variants.parse_resizer(name)[1])(images, (11, 13))
    detail = {'downsizenet-v2+detail': 8, 'space-to-depth': 9}.get(name, 0)
    assert resized.shape == (2, 3 + detail, 11, 13)


def test_guided_upsampling_goes_with_detail_maps():
    assert variants.parse_variant('downsizenet-v2+detail+guided') == (
        'downsizenet-v2+detail+guided', {
            'model.data_preprocessor.resizer': dict(type='DownsizeNetV2', detail_channels=8),
            'model.decode_head.guided': True})


@pytest.mark.parametrize('name, options', [
    ('bilinear', dict(mode='bilinear')), ('bicubic', dict(mode='bicubic')),
    ('area', dict(mode='area')), ('nearest', dict(mode='nearest')),
    ('antialias', dict(mode='bilinear', antialias=True)), ('downsizenet', dict(mode='bilinear'))])
def test_variants_start_as_what_they_are_named_after(name, options):
    images = torch.rand(2, 3, 30, 40) * 255
    resized = build_resizer(variants.parse_resizer(name)[1])(images, (11, 13))
    expected = F.interpolate(images, (11, 13), **options)
    torch.testing.assert_close(resized, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize('name, antialias', [
    ('downsizenet-v2', False), ('downsizenet-v2-antialias', True)])
def test_v2_starts_close_to_what_its_prior_says(name, antialias):
    """At half the size and away from the border, but for a small part of each coefficient."""
    images = torch.rand(2, 3, 30, 40) * 255
    resized = build_resizer(variants.parse_resizer(name)[1])(images, (15, 20))
    expected = F.interpolate(images, (15, 20), mode='bilinear', antialias=antialias)
    inside = np.s_[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(resized[inside], expected[inside], rtol=0, atol=0.02 * 255)


def test_a_variant_of_ones_own():
    name, resizer = variants.parse_resizer(
        "wide={'type': 'DownsizeNet', 'channels': 32, 'window': 2, "
        "'init_cfg': {'type': 'Normal', 'std': 0.1}}")
    assert name == 'wide'
    assert resizer == dict(type='DownsizeNet', channels=32, window=2,
                           init_cfg=dict(type='Normal', std=0.1))


@pytest.mark.parametrize('text, message', [
    ('lanczos', "unknown variant 'lanczos': use one of bilinear, "),
    ("../up={'type': 'DownsizeNet'}", r"letters, digits and \._\+- only, got '../up'"),
    ('x=DownsizeNet', "must be name={'type'"),
    ("x={'type': open('/etc/passwd')}", "must be name={'type'"),
    ("x={'type': __import__('os')}", "must be name={'type'"),
    ('x={', "must be name={'type'"),
    ("x=dict(type='DownsizeNet')", r"must be name=.* without calls such as dict\(\.\.\.\); got"),
    ('x={**{}}', "must be name={'type'"),
    ("x={'model.neck.type': 'FPN'}", 'x is not a resizer'),
    ('antialias+guided', r'antialias\+guided is not a resizer'),
])
def test_bad_resizers(text, message):
    with pytest.raises(ValueError, match=message):
        variants.parse_resizer(text)


@pytest.mark.parametrize('upsampling', ['bilinear', 'guided'])
def test_a_variant_says_how_logits_are_enlarged(upsampling):
    name, options = variants.parse_variant(f'antialias+{upsampling}')
    assert name == f'antialias+{upsampling}'
    cfg = load_config('configs/mini/drive/unet-guided_drive.py')
    merge_options(cfg, options)
    model = build_model(cfg)
    assert model.data_preprocessor.resizer.antialias
    kind = dict(bilinear=BilinearUpsampling, guided=GuidedUpsampling)[upsampling]
    assert type(model.decode_head.upsampling) is kind


def test_a_variant_is_a_resizer_or_options_of_the_config():
    assert variants.parse_variant('muller') == ('muller', {RESIZER: dict(type='MULLER')})
    _, options = variants.parse_variant("wide={'type': 'DownsizeNet', 'channels': 32}")
    assert options == {RESIZER: dict(type='DownsizeNet', channels=32)}
    text = "learned={'model.neck.type': 'dsnet_mm.DownsizeFPN', 'a': [1, {'b': None}]}"
    name, options = variants.parse_variant(text)
    assert name == 'learned'
    assert options == {'model.neck.type': 'dsnet_mm.DownsizeFPN', 'a': [1, {'b': None}]}
    assert variants.parse_variant('plain={}') == ('plain', {})


@pytest.mark.parametrize('text, message', [
    ('lanczos', "unknown variant 'lanczos'"),
    ("x=['model.neck.type']", 'a variant must be'),
    ("../up={'a': 1}", r"letters, digits and \._\+- only, got '../up'"),
    ("={'a': 1}", "letters, digits and"),
    ("x={'a': 1", "a variant must be .*; got \"{'a': 1\""),
    ("x={'a', 'b'}", "a variant must be"),
    ('x={1: 2}', "a variant must be"),
    ('x={[]: 2}', "a variant must be"),
    ("x={'a': open('/etc/passwd')}", "a variant must be"),
])
def test_bad_variants(text, message):
    with pytest.raises(ValueError, match=message):
        variants.parse_variant(text)

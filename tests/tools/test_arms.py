from dsnet_mm.registry import build_resizer

import arms
import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize('name', arms.ARMS)
def test_every_arm_resizes(name):
    images = torch.rand(2, 3, 30, 40) * 255
    small = build_resizer(arms.parse_arm(name)[1])(images, (11, 13))
    assert small.shape == (2, 3, 11, 13)


@pytest.mark.parametrize('name, options', [
    ('bilinear', dict(mode='bilinear')), ('bicubic', dict(mode='bicubic')),
    ('area', dict(mode='area')), ('nearest', dict(mode='nearest')),
    ('antialias', dict(mode='bilinear', antialias=True)), ('downsizenet', dict(mode='bilinear')),
    ('downsizenet-auto', dict(mode='bilinear', antialias=True))])
def test_arms_start_as_what_they_are_named_after(name, options):
    images = torch.rand(2, 3, 30, 40) * 255
    small = build_resizer(arms.parse_arm(name)[1])(images, (11, 13))
    torch.testing.assert_close(small, F.interpolate(images, (11, 13), **options), rtol=0, atol=1e-2)


def test_an_arm_of_ones_own():
    name, resizer = arms.parse_arm("wide=dict(type='DownsizeNet', channels=32, window='auto', "
                                   "init_cfg=dict(type='Normal', std=0.1))")
    assert name == 'wide'
    assert resizer == dict(type='DownsizeNet', channels=32, window='auto',
                           init_cfg=dict(type='Normal', std=0.1))


@pytest.mark.parametrize('text, message', [
    ('lanczos', "unknown arm 'lanczos': use one of bilinear, "),
    ("../up=dict(type='DownsizeNet')", r"letters, digits and \._\+-, got '../up'"),
    ("x=DownsizeNet", 'must be dict'),
    ("x=dict(type=open('/etc/passwd'))", 'must be dict'),
    ("x=dict(type=__import__('os'))", 'must be dict'),
    ('x=dict(', 'must be dict'),
    ('x=dict(**{})', 'must be dict'),
])
def test_bad_arms(text, message):
    with pytest.raises(ValueError, match=message):
        arms.parse_arm(text)

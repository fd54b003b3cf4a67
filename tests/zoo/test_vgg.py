"""VGG against torchvision's names and a plain loop over its weights."""
from dsnet_mm.zoo.vgg import VGG

import pytest
import torch
import torchvision
from torch.nn import functional as F

CONVS_OF_VGG16 = [(0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)]


def test_weights_are_torchvisions():
    with torch.device('meta'):
        expected = torchvision.models.vgg16().features.state_dict()
    weights = VGG(16).features.state_dict()
    assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in expected.items()}
    assert sum(v.numel() for v in weights.values()) == 14_714_688


@torch.no_grad()
def test_stages_are_returned_before_their_pooling():
    model = VGG(16, base_channels=8, out_indices=(4, 0, 3))
    x = images = torch.randn(2, 3, 70, 50)
    stages = []
    for stage in CONVS_OF_VGG16:
        for i in stage:
            conv = model.features[i]
            x = F.conv2d(x, conv.weight, conv.bias, padding=1).relu()
        stages.append(x)
        x = F.max_pool2d(x, 2)
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (8, 70, 50), (16, 35, 25), (32, 17, 12), (64, 8, 6), (64, 4, 3)]
    outs = model(images)
    assert len(outs) == 3
    for out, i in zip(outs, (0, 3, 4)):
        torch.testing.assert_close(out, stages[i])


@pytest.mark.parametrize('depth, convs', [(11, 8), (13, 10), (16, 13), (19, 16)])
def test_depths_and_batch_norm(depth, convs):
    model = VGG(depth, base_channels=8, with_bn=True)
    names = [type(layer).__name__ for layer in model.features]
    assert (names.count('Conv2d'), names.count('BatchNorm2d'), names.count('ReLU'),
            names.count('MaxPool2d')) == (convs, convs, convs, 5)
    assert model(torch.randn(2, 3, 64, 96))[0].shape == (2, 64, 4, 6)


@pytest.mark.parametrize('arguments, message', [
    (dict(depth=18), 'depth=18'), (dict(out_indices=(5, )), 'stages 0 to 4'),
    (dict(out_indices=()), 'stages 0 to 4'), (dict(out_indices=(-1, )), 'stages 0 to 4')])
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        VGG(**{'base_channels': 8, **arguments})

from dsnet_mm.resizers import TalebiMilanfarResizer

import pytest
import torch
import torch.nn.functional as F
from peers import SIZES, bilinear, photographs, trained


@pytest.fixture(scope='module')
def images():
    return photographs()


@pytest.mark.parametrize('channels, num_blocks, thousands', [
    (16, 1, 11.87), (16, 2, 16.48), (16, 3, 21.08), (16, 4, 25.69),
    (32, 1, 38.08), (32, 2, 56.51), (32, 3, 74.94), (32, 4, 93.37)])
def test_has_the_papers_weights(channels, num_blocks, thousands):
    """The paper's Table 2, which cuts the second decimal off."""
    net = TalebiMilanfarResizer(channels, num_blocks)
    kernels = sum(p.numel() for p in net.parameters() if p.dim() == 4)
    assert kernels // 10 == round(100 * thousands)
    # Nothing else but a scale and a shift a channel, in 2 normalisations and 2 more a block.
    assert sum(p.numel() for p in net.parameters()) == kernels + (2 + 2 * num_blocks) * 2 * channels


@pytest.mark.parametrize('num_blocks', [1, 2])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('size', SIZES)
def test_against_its_state_dict(num_blocks, training, size, images):
    net = trained(TalebiMilanfarResizer, channels=6, num_blocks=num_blocks).train(training)
    state = {name: value.clone() for name, value in net.state_dict().items()}

    def conv(x, name):
        kernel = state[f'{name}.weight']
        return F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)

    def norm(x, name):
        mean, variance = state[f'{name}.running_mean'], state[f'{name}.running_var']
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        by_channel = (x.movedim(1, -1) - mean) / (variance + 1e-5).sqrt()
        by_channel = by_channel * state[f'{name}.weight'] + state[f'{name}.bias']
        return by_channel.movedim(-1, 1)

    def leaky(x):
        return torch.where(x > 0, x, 0.2 * x)

    x = images.double() / 127.5 - 1
    features = norm(leaky(conv(leaky(conv(x, 'extract.0')), 'extract.2')), 'extract.4')
    features = resized = bilinear(features, size)
    for i in range(num_blocks):
        block = leaky(norm(conv(features, f'blocks.{i}.0'), f'blocks.{i}.1'))
        features = features + norm(conv(block, f'blocks.{i}.3'), f'blocks.{i}.4')
    features = resized + norm(conv(features, 'merge.0'), 'merge.1')
    expected = (bilinear(x, size) + conv(features, 'project')).clamp(-1, 1)
    torch.testing.assert_close(net(images.double(), size), (expected + 1) * 127.5,
                               rtol=0, atol=1e-6)


def test_reset_parameters_draws_a_random_start():
    net = TalebiMilanfarResizer(bilinear_start=False)
    before = [p.clone() for p in net.parameters() if p.dim() == 4]
    net.reset_parameters()
    after = [p for p in net.parameters() if p.dim() == 4]
    assert not any(torch.equal(p, q) for p, q in zip(before, after))
    assert net.project.weight.abs().max() > 0

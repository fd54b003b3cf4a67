"""A real training step through the preprocessor: its gradients, and where the weights end up."""
import copy
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData
from samples import det_sample, image, seg_sample

CENTERNET = 'configs/mini/textures/centernet_textures.py'
DEEPLAB = 'configs/mini/textures/deeplabv3plus_textures.py'


def build(config: str, **preprocessor):
    cfg = Config.fromfile(config)
    cfg.model.data_preprocessor.update(preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        from mmengine.registry import MODELS
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            return registry.build(cfg.model)


def det_batch():
    samples = []
    for size in ((90, 120), (110, 80)):
        sample = det_sample(*size)
        del sample.gt_sem_seg, sample.ignored_instances, sample.proposals
        del sample.gt_instances.masks
        samples.append(sample)
    return dict(inputs=[image(90, 120), image(110, 80)], data_samples=samples)


def seg_batch():
    return dict(inputs=[image(90, 120), image(90, 120)],
                data_samples=[seg_sample(90, 120), seg_sample(90, 120)])


def loss_of(model, batch) -> torch.Tensor:
    data = model.data_preprocessor(batch, True)
    return model.parse_losses(model(**data, mode='loss'))[0]


@pytest.mark.parametrize('config, batch, size', [
    (CENTERNET, det_batch, dict(target_size=(64, 64))),
    (DEEPLAB, seg_batch, dict(scale=0.5))])
def test_gradients_against_finite_differences(config, batch, size, monkeypatch):
    # In double precision throughout: the stock preprocessors cast images to float32.
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    model, data = build(config, **size).double(), batch()
    model.eval()  # batch norm by fixed statistics, no dropout: a function of the weights alone
    for p in model.data_preprocessor.resizer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    loss_of(model, data).backward()
    for name, p in model.data_preprocessor.resizer.named_parameters():
        norm = p.grad.norm().item()
        assert norm > 1e-9, name
        direction, start, step, values = p.grad / norm, p.detach().clone(), 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                p.copy_(start + sign * step * direction)
                values.append(loss_of(model, data).item())
        with torch.no_grad():
            p.copy_(start)
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(norm, rel=1e-2), name


@pytest.mark.parametrize('config, batch, size', [
    (CENTERNET, det_batch, dict(target_size=(64, 64))),
    (DEEPLAB, seg_batch, dict(scale=0.5))])
@pytest.mark.parametrize('freeze', [False, True])
def test_one_optimizer_moves_model_and_resizer(config, batch, size, freeze):
    model = build(config, freeze=freeze, **size)
    before = copy.deepcopy(model.state_dict())
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    model.train_step(batch(), optimizer)
    moved = {name for name, value in model.state_dict().items()
             if not torch.equal(value, before[name])}
    assert any(name.startswith('backbone.') for name in moved)
    resizer = {name for name in moved if name.startswith('data_preprocessor.')}
    # The last layer starts at zero, so the first step moves it alone.
    expected = {f'data_preprocessor.resizer.logits.{kind}' for kind in ('weight', 'bias')}
    assert resizer == (set() if freeze else expected)


def test_predicting_twice_from_one_batch_gives_the_same():
    for config, batch, size in ((CENTERNET, det_batch, dict(target_size=(64, 64))),
                                (DEEPLAB, seg_batch, dict(scale=0.5))):
        model, data = build(config, **size).eval(), batch()
        for sample in data['data_samples']:
            if config == CENTERNET:
                sample.set_metainfo(dict(border=[0, 90, 0, 120]))
        with torch.no_grad():
            first, second = model.test_step(data), model.test_step(data)
        for a, b in zip(first, second):
            name = 'pred_instances' if config == CENTERNET else 'seg_logits'
            for key, value in a.get(name).items():
                torch.testing.assert_close(value, b.get(name).get(key))


def test_initialisation_of_the_whole_model_leaves_the_resizer_bilinear():
    cfg = Config.fromfile(CENTERNET)
    cfg.model.init_cfg = dict(type='Constant', layer='Conv2d', val=0.5)
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS
        model = MODELS.build(cfg.model)
    model.init_weights()
    resizer = model.data_preprocessor.resizer
    assert not resizer.logits.weight.any() and not resizer.logits.bias.any()
    assert resizer.texture[0].weight.std() > 0


def test_checkpoints_carry_the_resizer(tmp_path, caplog):
    model = build(CENTERNET)
    torch.nn.init.normal_(model.data_preprocessor.resizer.logits.weight)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'with.pth')
    other = build(CENTERNET)
    load_checkpoint(other, str(tmp_path / 'with.pth'), strict=True)
    for a, b in zip(model.parameters(), other.parameters()):
        assert torch.equal(a, b)
    state = {k: v for k, v in model.state_dict().items() if 'resizer' not in k}
    torch.save(dict(state_dict=state), tmp_path / 'without.pth')
    logger = logging.getLogger('without')
    with caplog.at_level(logging.WARNING):
        load_checkpoint(other, str(tmp_path / 'without.pth'), logger=logger)
    assert 'missing keys' in caplog.text
    assert 'data_preprocessor.resizer.logits.weight' in caplog.text
    # And a model without a resizer says which keys it does not know.
    caplog.clear()
    plain = build(CENTERNET, resizer=dict(type='FixedResizer'))
    with caplog.at_level(logging.WARNING):
        load_checkpoint(plain, str(tmp_path / 'with.pth'), logger=logger)
    assert 'unexpected key' in caplog.text and 'resizer.logits.weight' in caplog.text


def test_an_image_without_objects():
    data = det_batch()
    for sample in data['data_samples']:
        sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    assert loss_of(build(CENTERNET, target_size=(64, 64)), data).isfinite()

"""What mmengine offers for training, with a resizer: short real runs."""
import copy
import shutil
from contextlib import contextmanager

from dsnet_mm.config import build_model, load_config

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from mmseg.structures import SegDataSample
from torch import nn
from trainings import ITERATIONS, run, segmenter, train

RESIZER = 'data_preprocessor.resizer.'
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), _delete_=True)


def losses(runner: Runner) -> torch.Tensor:
    """Of each iteration."""
    return torch.tensor(runner.message_hub.get_scalar('train/loss').data[0])


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """mmengine's AmpOptimWrapper on the CPU, where it refuses to work."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


class Watch(Hook):
    """Keeps the resizer's weights after each iteration, and what comes out of two modules."""

    def __init__(self) -> None:
        self.weights = []
        self.outputs = {'data_preprocessor.resizer': [], 'decode_head.conv_seg': []}

    def before_train(self, runner) -> None:
        for name, outputs in self.outputs.items():
            runner.model.get_submodule(name).register_forward_hook(
                lambda module, inputs, out, outputs=outputs: outputs.append(out.detach()))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        resizer = runner.model.data_preprocessor.resizer
        self.weights.append(copy.deepcopy(resizer.state_dict()))


def watched(cfg) -> tuple[Runner, Watch]:
    runner, watch = Runner.from_cfg(cfg), Watch()
    runner.register_hook(watch, 'VERY_HIGH')
    runner.train()
    return runner, watch


def test_half_precision(data_root, tmp_path):
    full, seen = watched(segmenter(data_root, tmp_path / 'full'))
    half, halves = watched(segmenter(data_root, tmp_path / 'half',
                                     optim_wrapper__type='BFloat16OptimWrapper'))
    name = 'data_preprocessor.resizer'
    assert halves.outputs['decode_head.conv_seg'][0].dtype == torch.bfloat16
    assert seen.outputs['decode_head.conv_seg'][0].dtype == torch.float32
    # Small images are the same whether made inside autocast or, as in validation, outside.
    assert torch.equal(seen.outputs[name][0], halves.outputs[name][0])
    assert halves.weights[-1]['logits.weight'].abs().sum() > 0
    torch.testing.assert_close(losses(half), losses(full), rtol=0.03, atol=0)
    assert not torch.equal(losses(half), losses(full))


def test_moving_average(data_root, tmp_path):
    hook = dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.3)
    runner, watch = watched(segmenter(data_root, tmp_path, custom_hooks=[hook]))
    expected = {name: value.clone() for name, value in watch.weights[0].items()}
    for weights in watch.weights[1:]:
        for name, value in weights.items():
            expected[name] = 0.7 * expected[name] + 0.3 * value
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    for name, value in expected.items():
        torch.testing.assert_close(saved['state_dict'][RESIZER + name], value)
        source = saved['ema_state_dict'][f'module.{RESIZER}{name}']
        assert torch.equal(source, watch.weights[-1][name])
    assert not torch.equal(expected['logits.weight'], watch.weights[-1]['logits.weight'])


def test_a_learning_rate_of_its_own(data_root, tmp_path):
    weights = {}
    for factor in (1, 0.1):
        cfg = segmenter(data_root, tmp_path / str(factor), optim_wrapper=dict(
            SGD, paramwise_cfg=dict(custom_keys={RESIZER: dict(lr_mult=factor)})))
        cfg.train_cfg = dict(ITERATIONS, max_iters=1)
        weights[factor] = train(cfg)
    step = weights[1][f'{RESIZER}logits.weight']  # from zero
    assert step.abs().max() > 0
    torch.testing.assert_close(weights[0.1][f'{RESIZER}logits.weight'], 0.1 * step)
    for name in ('backbone.stem.0.weight', 'decode_head.conv_seg.weight'):
        assert torch.equal(weights[0.1][name], weights[1][name])


def rates(model: nn.Module, constructor: str) -> dict[str, float]:
    """The learning rate of each parameter, with layer decay."""
    wrapper = build_optim_wrapper(model, dict(
        constructor=constructor, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
        paramwise_cfg=dict(decay_rate=0.5, decay_type='layer_wise', num_layers=2)))
    groups = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    return {name: groups[id(p)] for name, p in model.named_parameters()}


def test_layer_decay_gives_the_resizer_the_rate_of_what_is_new():
    """It starts untrained like the head, though it comes before the backbone."""
    from mmdet.engine import LearningRateDecayOptimizerConstructor  # noqa: F401  (registers it)
    cfg = load_config('configs/mini/camvid/deeplabv3plus_camvid.py', {'model.auxiliary_head': None})
    cfg.model.backbone = ConfigDict(
        type='BEiT', img_size=(32, 32), patch_size=8, embed_dims=16, num_layers=2, num_heads=2,
        out_indices=(1, ), qv_bias=True, init_values=0.1)
    cfg.model.decode_head = ConfigDict(type='FCNHead', in_channels=16, channels=8, num_classes=11)
    with DefaultScope.overwrite_default_scope('mmseg'):
        found = rates(build_model(cfg), 'LearningRateDecayOptimizerConstructor')
    assert {v for k, v in found.items() if 'resizer' in k or 'decode_head' in k} == {1e-3}
    blocks = [found[f'backbone.layers.{i}.attn.qkv.weight'] for i in range(2)]
    assert blocks == [pytest.approx(1e-3 * 0.5**2), pytest.approx(1e-3 * 0.5)]

    class ConvNeXt(nn.Module):  # the only backbone that mmdet's constructor knows, by this name

        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList([nn.Sequential(nn.Linear(2, 2)) for _ in range(4)])

    detector = build_model(load_config('configs/mini/textures/refinedet_textures.py'))
    detector.backbone = ConvNeXt()
    with DefaultScope.overwrite_default_scope('mmdet'):
        found = rates(detector, 'LearningRateDecayOptimizerConstructor')
    assert {v for k, v in found.items() if 'resizer' in k or 'bbox_head' in k} == {1e-3}
    assert found['backbone.stages.0.0.weight'] < 1e-3


def test_frozen_it_is_the_bilinear_baseline(data_root, tmp_path):
    slow = dict(SGD, optimizer=dict(type='SGD', lr=1e-3))
    frozen = run(segmenter(data_root, tmp_path / 'frozen', optim_wrapper=slow,
                           model__data_preprocessor__freeze=True))
    fixed = run(segmenter(data_root, tmp_path / 'fixed', optim_wrapper=slow,
                          model__data_preprocessor__resizer=dict(type='FixedResizer')))
    resizer = frozen.model.data_preprocessor.resizer
    assert not resizer.logits.weight.any() and not resizer.logits.bias.any()
    trained = {id(p) for group in frozen.optim_wrapper.param_groups for p in group['params']
               if p.requires_grad}
    assert not trained & {id(p) for p in resizer.parameters()}
    torch.testing.assert_close(losses(frozen), losses(fixed), rtol=1e-3, atol=0)


def test_test_time_augmentation_is_the_mean_of_its_views(data_root, tmp_path):
    cfg = segmenter(data_root, tmp_path)
    tta = build_model(cfg, ConfigDict(type='SegTTAModel', module=cfg.model)).eval()
    resizer = tta.module.data_preprocessor.resizer
    nn.init.normal_(resizer.logits.weight, std=0.3)
    nn.init.normal_(tta.module.decode_head.conv_seg.weight)
    nn.init.zeros_(tta.module.decode_head.conv_seg.bias)
    photo = torch.randint(0, 256, (3, 120, 160)).byte()
    small = photo[:, ::2, ::2]
    views = [(photo, False), (photo.flip(-1), True), (small, False), (small.flip(-1), True)]
    data = dict(
        inputs=[[view] for view, _ in views],
        data_samples=[[SegDataSample(metainfo=dict(
            ori_shape=(120, 160), img_shape=tuple(view.shape[-2:]), flip=flip,
            flip_direction='horizontal', img_path=''))] for view, flip in views])
    with torch.no_grad():
        [merged] = tta.test_step(copy.deepcopy(data))
        probabilities = []
        for view, flip in views:
            sample = SegDataSample(metainfo=dict(
                ori_shape=(120, 160), img_shape=tuple(view.shape[-2:])))
            [out] = tta.module.test_step(dict(inputs=[view], data_samples=[sample]))
            logits = out.seg_logits.data
            probabilities.append((logits.flip(-1) if flip else logits).softmax(dim=0))
    expected = sum(probabilities).argmax(dim=0)
    assert (merged.pred_sem_seg.data[0] != expected).float().mean() < 1e-3
    assert len(expected.unique()) > 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('c++') is None or torch.__version__ < '2.2',
                    reason='no compiler of C++, or PyTorch 2.1')
def test_a_compiled_training(data_root, tmp_path):
    torch._dynamo.reset()
    options = dict(model__decode_head__dropout_ratio=0, model__auxiliary_head__dropout_ratio=0)
    plain = run(segmenter(data_root, tmp_path / 'plain', **options))
    compiled = run(segmenter(data_root, tmp_path / 'compiled', compile=True, **options))
    torch.testing.assert_close(losses(compiled), losses(plain), rtol=1e-2, atol=0)
    weight = f'{RESIZER}logits.weight'
    assert compiled.model.state_dict()[weight].abs().max() > 0

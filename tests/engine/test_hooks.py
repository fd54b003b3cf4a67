"""TrainResizerOnlyHook and CheckResizerHook in real trainings and validations."""
import warnings
from types import SimpleNamespace

from dsnet_mm.config import build_model, load_config
from dsnet_mm.engine.hooks import TrainResizerOnlyHook

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

HOOK = dict(type='dsnet_mm.TrainResizerOnlyHook')


@pytest.fixture
def runner(data_root, tmp_path):
    """A few iterations of a segmenter with batch norm and dropout."""

    def build(guided: bool = False, **preprocessor) -> Runner:
        cfg = load_config('configs/mini/camvid/deeplabv3plus_camvid.py', {
            'data_root': str(data_root / 'camvid'), 'work_dir': str(tmp_path),
            'train_dataloader.batch_size': 2, 'train_dataloader.dataset.indices': 6,
            'custom_hooks': [HOOK]})
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=100)
        cfg.model.data_preprocessor.update(scale=0.2, **preprocessor)
        cfg.param_scheduler = None
        if guided:
            cfg.model.decode_head = dict(type='dsnet_mm.GuidedHead', head=cfg.model.decode_head)
        return Runner.from_cfg(cfg)

    return build


def test_only_the_resizer_learns(runner):
    run = runner()
    run.model.init_weights()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train()
    resizer = 'data_preprocessor.resizer.'
    after = run.model.state_dict()
    for name, value in before.items():
        changed = not torch.equal(value, after[name])
        assert changed == name.startswith(resizer), name
    run.model.train()
    run.call_hook('before_train_iter', batch_idx=0)
    modes = {type(module).__name__: module.training for module in run.model.modules()}
    assert modes['DepthwiseSeparableASPPHead'] and not modes['BatchNorm2d']
    assert not modes['Dropout2d']


@pytest.mark.parametrize('resizer, learning', [
    ('FixedResizer', ['decode_head.upsampling.']),
    ('DownsizeNet', ['data_preprocessor.resizer.', 'decode_head.upsampling.'])])
def test_guided_upsampling_learns_behind_a_frozen_model(runner, resizer, learning):
    run = runner(guided=True, resizer=dict(type=resizer), resize_gt_sem_seg=False)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.model.init_weights = lambda: None
    run.train()
    changed = {name for name, value in run.model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed and {name for name in changed if not name.startswith(tuple(learning))} == set()
    for part in learning:
        assert any(name.startswith(part) for name in changed)


def test_the_resizers_own_statistics_are_trained(runner):
    run = runner(resizer=dict(type='TalebiMilanfarResizer'))
    run.train()
    means = [value for name, value in run.model.data_preprocessor.resizer.state_dict().items()
             if name.endswith('running_mean')]
    assert means and all(mean.any() for mean in means)


def test_attention_has_no_dropout(tmp_path):
    attention = dict(embed_dims=64, num_heads=4, dropout=0.5, batch_first=True)
    layer = dict(self_attn_cfg=attention)
    cfg = load_config('configs/mini/textures/detr_textures.py', {
        'work_dir': str(tmp_path), 'model.encoder.layer_cfg': layer})
    model = build_model(cfg).train()
    features = torch.rand(1, 20, 64)

    def encoded() -> torch.Tensor:
        return model.encoder(features, query_pos=torch.zeros_like(features), key_padding_mask=None)

    assert not torch.equal(encoded(), encoded())
    TrainResizerOnlyHook().before_train_iter(SimpleNamespace(model=model), 0)
    assert model.bbox_head.training and torch.equal(encoded(), encoded())


def test_nothing_to_train_is_an_error(runner):
    for preprocessor in (dict(freeze=True), dict(resizer=dict(type='FixedResizer'))):
        with pytest.raises(ValueError, match='found nothing to train.*needs a resizer that learns'):
            runner(**preprocessor).train()


@pytest.mark.parametrize('crop, warns', [((40, 40), True), ((12, 12), False), ((14, 21), False)])
def test_a_window_larger_than_the_image_is_warned_of_once(crop, warns, data_root, tmp_path):
    cfg = load_config('configs/mini/camvid/deeplabv3plus_camvid.py', {
        'data_root': str(data_root / 'camvid'), 'work_dir': str(tmp_path),
        'model.data_preprocessor.target_size': (14, 21), 'model.data_preprocessor.scale': None,
        'val_dataloader.dataset.indices': 3,
        'custom_hooks': [dict(type='dsnet_mm.CheckResizerHook')]})
    cfg.model.test_cfg = dict(mode='slide', crop_size=crop, stride=(8, 8))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        Runner.from_cfg(cfg).val()
    texts = [str(w.message) for w in caught if 'slide inference' in str(w.message)]
    assert len(texts) == warns
    assert not warns or 'crop_size=(40, 40) sees the whole resized image of 14x21' in texts[0]


def stopped(backbone: nn.Module) -> type:
    """The backbone's class, but its features have no gradient."""
    class Stopped(type(backbone)):
        def forward(self, images):
            with torch.no_grad():
                features = super().forward(images)
            return [each.requires_grad_() for each in features]
    return Stopped


def cancelled(backbone: nn.Module) -> type:
    """The backbone's class, but the image's gradient is zero."""
    class Cancelled(type(backbone)):
        def forward(self, images):
            return super().forward(images.detach() + 0 * images)
    return Cancelled


@pytest.mark.parametrize('kind', [stopped, cancelled])
def test_a_resizer_without_gradients_is_an_error(kind, runner):
    def train(**preprocessor) -> None:
        built = runner(**preprocessor)
        built._hooks = [hook for hook in built._hooks
                        if not isinstance(hook, TrainResizerOnlyHook)]
        built.register_custom_hooks([dict(type='dsnet_mm.CheckResizerHook')])
        built.model.backbone.__class__ = kind(built.model.backbone)
        built.train()

    with pytest.raises(ValueError, match=r'the resizer in model\.data_preprocessor got no gradient '
                       r'in the first iteration.*freeze=True'):
        train()
    train(freeze=True)
    train(resizer=dict(type='FixedResizer'))


@pytest.mark.parametrize('held', ['alone', 'in a list'])
def test_a_teachers_resizer_is_refused(held, data_root, tmp_path):
    cfg = load_config('configs/mini/cards/atss-mobilenetv2_cards.py', {
        'data_root': f'{data_root}/cards/', 'work_dir': str(tmp_path),
        'model.backbone.init_cfg': None,
        'custom_hooks': [dict(type='dsnet_mm.CheckResizerHook')]})
    teacher = build_model(cfg)
    runner = Runner.from_cfg(cfg)
    # As mmdet's KnowledgeDistillationSingleStageDetector keeps its teacher.
    object.__setattr__(runner.model, 'teachers', teacher if held == 'alone' else [teacher])
    with pytest.raises(ValueError, match=r'the resizer in model\.teachers\.data_preprocessor would '
                       'never be used'):
        runner.train()


def test_what_only_refers_to_the_model_is_no_teacher(runner):
    built = runner()
    built.register_custom_hooks([dict(type='dsnet_mm.CheckResizerHook')])
    object.__setattr__(built.model, 'parts', [built.model, built.model.data_preprocessor])
    built.train()

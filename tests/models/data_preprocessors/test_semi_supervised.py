"""Models with models in them, as semi-supervised detectors are: where a resizer belongs."""
import copy
from pathlib import Path
from types import SimpleNamespace

from dsnet_mm.config import load_config
from dsnet_mm.engine.hooks import CheckResizerHook

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from samples import det_sample, image
from torch import nn

PLAIN = dict(type='DetDataPreprocessor', mean=[0.] * 3, std=[255.] * 3)
OURS = dict(PLAIN, type='dsnet_mm.DownsizeDetDataPreprocessor', scale=0.5)
RIGHT_KEY = 'model.data_preprocessor.data_preprocessor'


def teacher_and_student(inner: dict, outer: dict) -> ConfigDict:
    """A detector's config, with preprocessors for the two and for the whole."""
    detector = load_config('configs/mini/textures/centernet_textures.py').model
    detector.data_preprocessor = inner
    return ConfigDict(
        type='mmdet.SemiBaseDetector', detector=detector, semi_train_cfg=dict(freeze_teacher=True),
        data_preprocessor=dict(type='MultiBranchDataPreprocessor', data_preprocessor=outer),
        semi_test_cfg=dict(predict_on='teacher'))


def build(cfg: dict) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg)


@pytest.fixture
def supervised(tmp_path) -> tuple[Path, dict]:
    """A checkpoint of a detector with a resizer, and its weights."""
    cfg = teacher_and_student(OURS, PLAIN).detector
    state = build(cfg).state_dict()
    for value in state.values():
        value.copy_(torch.rand(value.shape))
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'supervised.pth')
    return tmp_path / 'supervised.pth', state


def load(model: dict, file: Path, **options) -> Runner:
    runner = Runner(
        model, str(file.parent), load_from=str(file), default_scope='mmdet',
        default_hooks=dict(checkpoint=dict(type='dsnet_mm.SafeCheckpointHook')), **options)
    runner.load_or_resume()
    return runner


def test_teacher_and_student_start_from_a_detector_and_its_resizer(supervised, caplog):
    file, expected = supervised
    model = load(teacher_and_student(PLAIN, OURS), file).model.state_dict()
    seen = set()
    for name, value in expected.items():
        places = [f'data_preprocessor.{name}'] if 'resizer' in name else [
            f'student.{name}', f'teacher.{name}']
        for place in places:
            assert torch.equal(model[place], value), place
        seen.update(places)
    assert seen == model.keys() and 'do not match' not in caplog.text


def test_a_detector_without_a_resizer_is_welcome(supervised):
    file, expected = supervised
    plain = {name: value for name, value in expected.items() if 'resizer' not in name}
    torch.save(dict(state_dict=plain), file)
    model = load(teacher_and_student(PLAIN, OURS), file).model.state_dict()
    assert all(torch.equal(model[f'student.{name}'], value) for name, value in plain.items())


def test_another_model_is_still_refused(supervised):
    file, _ = supervised
    torch.save(dict(state_dict={'layer.weight': torch.zeros(3)}), file)
    with pytest.raises(ValueError, match=r'is of another model.*\(layer.weight; the model has'):
        load(teacher_and_student(PLAIN, OURS), file)


def test_a_student_resumes(supervised):
    file, _ = supervised
    runner = load(teacher_and_student(PLAIN, OURS), file)
    state = {name: value.clone() for name, value in runner.model.state_dict().items()}
    torch.save(dict(state_dict=state, meta={}, optimizer={}), file)
    runner._resume = True
    runner.load_checkpoint(str(file))
    with pytest.raises(ValueError, match='cannot resume.*its model is another one'):
        torch.save(dict(state_dict=dict(state, more=torch.zeros(1)), meta={}, optimizer={}), file)
        runner.load_checkpoint(str(file))


@pytest.mark.parametrize('outer', [PLAIN, OURS], ids=['inside only', 'at both places'])
def test_a_resizer_that_nothing_calls_is_refused_before_training(outer):
    runner = SimpleNamespace(model=build(teacher_and_student(OURS, outer)))
    with pytest.raises(ValueError, match=r'in model.student.data_preprocessor would never be used.*'
                       rf'Set {RIGHT_KEY}.type=dsnet_mm.DownsizeDetDataPreprocessor'):
        CheckResizerHook().before_train(runner)


def test_a_resizer_in_the_place_of_the_wrapper_is_refused():
    cfg = teacher_and_student(PLAIN, PLAIN)
    cfg.data_preprocessor.update(type=OURS['type'], scale=0.5)
    with pytest.raises(TypeError, match=f'wraps another one: set {RIGHT_KEY}.type'):
        build(cfg)


def test_the_right_place_is_used():
    model = build(teacher_and_student(PLAIN, OURS))
    hook, runner = CheckResizerHook(), SimpleNamespace(model=model)
    hook.before_train(runner)
    data = pseudo_collate([dict(inputs=dict(sup=image(32, 48)),
                                data_samples=dict(sup=det_sample(32, 48)))])
    assert model.data_preprocessor(data, True)['inputs']['sup'].shape == (1, 3, 16, 24)
    hook.after_train_iter(runner, 0)


def test_arguments_of_another_preprocessor_name_the_way_out():
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg = load_config('mmdet::boxinst/boxinst_r50_fpn_ms-90k_coco.py').model.data_preprocessor
        cfg.update(type=OURS['type'], scale=0.5)
        with pytest.raises(TypeError, match='DownsizeDetDataPreprocessor has no argument '
                           r'mask_stride.*class MyPreprocessor\(DownsizeMixin'):
            MODELS.build(cfg)


class Forgetful(BaseDataPreprocessor):
    """Has a resizer's preprocessor, and does not call it."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = build(copy.deepcopy(OURS))


class Mean(BaseModel):
    """The mean of an image, to be learned."""

    def __init__(self, data_preprocessor: nn.Module) -> None:
        super().__init__(data_preprocessor)
        self.mean = nn.Parameter(torch.zeros(()))
        self.steps = 0

    def forward(self, inputs: torch.Tensor, data_samples: None = None, mode: str = 'loss') -> dict:
        self.steps += 1
        inputs = torch.stack(inputs) if isinstance(inputs, list) else inputs
        return dict(loss=(self.mean - inputs.float().mean()).square())


@pytest.mark.parametrize('forgets', [True, False])
def test_a_resizer_that_no_forward_uses_ends_the_first_iteration(forgets, tmp_path):
    preprocessor = Forgetful() if forgets else build(copy.deepcopy(OURS))
    runner = Runner(
        Mean(preprocessor), str(tmp_path), train_cfg=dict(by_epoch=False, max_iters=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_dataloader=dict(dataset=[dict(inputs=image(8, 8))] * 6, batch_size=2,
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        custom_hooks=[dict(type='dsnet_mm.CheckResizerHook')])
    if not forgets:
        runner.train()
        assert runner.iter == runner.model.steps == 3
        return
    with pytest.raises(ValueError, match='in model.data_preprocessor.data_preprocessor was not used'
                       ' in the first iteration.*a Forgetful, must call it'):
        runner.train()
    assert runner.model.steps == 1

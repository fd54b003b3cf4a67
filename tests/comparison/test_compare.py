"""dsnet-mm compare in trainings of seconds."""
import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.cli import compare
from dsnet_mm.comparison.intervals import PairedDifference, verdict
from dsnet_mm.comparison.results import save
from dsnet_mm.comparison.runs import locked
from dsnet_mm.comparison.worker import build_runner, load_run, train_and_evaluate

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

ROOT = Path(__file__).resolve().parents[2]


def modified(folder: Path, pattern: str) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob(pattern)}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def commands() -> list[str]:
    """The command lines of all processes, with spaces between the arguments."""
    texts = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            texts.append(file.read_text(errors='replace').replace('\0', ' '))
    return texts


def test_killed_in_the_middle_it_goes_on_and_a_crash_does_not_sink_the_rest(
        config, tmp_path, run_tool):
    out = tmp_path / 'out'
    arguments = [config, '--variants', 'bilinear', 'downsizenet', "bad={'type': 'Upsize'}",
                 '--seeds', 0, '--jobs', 2, '--high-res', '--work-dir', out]
    first = out / 'runs/bilinear-seed0/result.json'
    process = subprocess.Popen([sys.executable, 'tools/compare.py', *map(str, arguments)], cwd=ROOT,
                               stdout=subprocess.DEVNULL)
    wait_for(lambda: first.exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(f'comparison.worker {out}' in text for text in commands()))
    before = modified(out, 'result.json')
    assert 0 < len(before) < 3

    text = run_tool('tools/compare.py', *arguments, fails=True)
    assert 'bad, seed 0 failed:' in text and "unknown resizer type 'Upsize'" in text
    after = modified(out, 'result.json')
    assert len(after) == 3 and before.items() <= after.items()
    results = json.loads((out / 'results.json').read_text())
    assert results['metric'] == 'pascal_voc/mAP'
    assert list(results['variants']) == ['bilinear', 'downsizenet', 'bad', 'high-res']
    for variant, extra in dict(bilinear=0, downsizenet=2980).items():
        values = results['variants'][variant]
        assert list(values['seeds']) == ['0'] and values['ms_per_image'] > 0
        assert values['params'] == results['variants']['high-res']['params'] + extra
        for seed, value in values['seeds'].items():
            result = json.loads((out / f'runs/{variant}-seed{seed}/result.json').read_text())
            assert result['metrics']['pascal_voc/mAP'] == value
    assert results['variants']['bad']['seeds'] == {} and len(results['failed']) == 1
    assert results['paired']['downsizenet-bilinear']['n'] == 1
    assert results['pixels'] == dict(input=[300, 300], output=[64, 64])
    for run in results['runs']:
        # Killed between a checkpoint and its validation, a run has no point for it.
        whole = f"{run['variant']}-seed0" in {Path(file).parent.name for file in before}
        assert [step for step, _ in run['curve']] in (
            [[1, 2]] if whole else [[1, 2], [2], [1]])
    for run in results['runs']:
        assert list(run['per_class']) == results['classes'] and len(run['per_size']) == 3

    high = Config.fromfile(out / 'runs/high-res-seed0.py').model.data_preprocessor
    assert (high.target_size, high.scale, high.resizer.type) == (None, 1.0, 'FixedResizer')
    index = json.loads((out / 'gallery/index.json').read_text())
    # Ground truth, three variants that were trained, and DownsizeNet's coefficients.
    assert [len(entry['pictures']) for entry in index] == [5, 5, 5]

    report = out / 'report.md'
    report.unlink()
    table = run_tool('tools/compare.py', '--report-only', out)
    assert 'downsizenet' in table and 'Upsize' in report.read_text()
    assert json.loads((out / 'results.json').read_text()) == results


def test_finished_it_does_nothing_again_and_refuses_other_options(config, tmp_path, run_tool):
    out = tmp_path / 'out'
    arguments = [config, '--variants', 'bilinear', '--seeds', 3, '--work-dir', out, '--metric',
                 'pascal_voc/pooled_AP50']
    run_tool('tools/compare.py', *arguments)
    run, = json.loads((out / 'results.json').read_text())['runs']
    assert [step for step, _ in run['curve']] == [1, 2] and run['curve'][-1][1] == run['value']
    before = modified(out, '*.json')
    run_tool('tools/compare.py', *arguments)
    assert modified(out, '*.json') == before
    text = run_tool('tools/compare.py', *arguments, '--variants', 'muller', 'bilinear',
                    '--cfg-options', 'train_cfg.max_epochs=1', fails=True)
    assert 'bilinear-seed3 holds a run of another config' in text
    assert modified(out, '*.json') == before
    assert not list(out.glob('runs/muller*'))  # refused, it leaves nothing behind

    # Killed in its last evaluation: the training is not repeated.
    (out / 'runs/bilinear-seed3/result.json').unlink()
    checkpoint = modified(out, 'epoch_2.pth')
    run_tool('tools/compare.py', *arguments)
    assert modified(out, 'epoch_2.pth') == checkpoint
    assert (out / 'runs/bilinear-seed3/result.json').exists()


def test_variants_differ_in_the_resizer_only(config, tmp_path):
    """The same initial weights of the model and the same data, in the same order."""
    args = compare.parse_args([
        str(config), '--seeds', '5', '--work-dir', str(tmp_path / 'out'), '--variants', 'bilinear',
        'downsizenet', 'talebi-milanfar', 'muller'])
    [(_, runs, *_)] = compare.prepare(args)
    reference = None
    for run in runs:
        runner = build_runner(load_run(run.config_file))
        runner.model.init_weights()
        weights = {name: value.clone() for name, value in runner.model.state_dict().items()
                   if not name.startswith('data_preprocessor.')}
        runner.model.train()
        optimizer = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
        seen = []
        for batch in runner.train_dataloader:
            seen.append(torch.stack(batch['inputs']))
            runner.model.train_step(batch, optimizer)
        seen = torch.stack(seen)
        if reference is None:
            reference = weights, seen
        assert weights.keys() == reference[0].keys()
        assert all(torch.equal(weights[name], reference[0][name]) for name in weights)
        assert torch.equal(seen, reference[1])
        trained = runner.model.state_dict()
        assert not all(torch.equal(weights[name], trained[name]) for name in weights)


def test_variants_of_options_differ_in_these_only(textures, tmp_path):
    config = tmp_path / 'pyramid.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/mini/textures/atss_textures.py']\n"
        "model = dict(data_preprocessor=dict(\n"
        "    target_size=(64, 64), resizer=dict(type='DownsizeNet')))\n"
        f"train_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_epochs=1, val_interval=1)\n')
    plain = {'model.neck': dict(_delete_=True, type='FPN', in_channels=[32, 64, 128],
                                out_channels=64, num_outs=3, upsample_cfg=dict(mode='bilinear'))}
    arguments = [str(config), '--work-dir', str(tmp_path / 'out'), '--seeds', '5', '6',
                 '--variants', f'plain={plain}', 'learned={}']
    [(_, runs, *_)] = compare.prepare(compare.parse_args(arguments))
    assert [str(run) for run in runs] == [
        'plain, seed 5', 'learned, seed 5', 'plain, seed 6', 'learned, seed 6']
    for pair in (runs[:2], runs[2:]):
        losses, states = [], []
        for run in pair:
            runner = build_runner(load_run(run.config_file))
            runner.model.init_weights()
            states.append({name: value.clone() for name, value in
                           runner.model.state_dict().items()})
            optimizer = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
            batch = next(iter(runner.train_dataloader))
            losses.append(runner.model.train().train_step(batch, optimizer)['loss'].item())
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # at the start, on the same images
    for run in runs:
        save(train_and_evaluate(load_run(run.config_file)), run.result_file)
    assert compare.main(arguments) == 0
    results = json.loads((tmp_path / 'out/results.json').read_text())
    variants = results['variants']
    assert variants['plain']['options'] == plain and variants['learned']['options'] == {}
    for values in variants.values():
        assert values['resizer'] == dict(type='DownsizeNet') and values['resizer_params'] == 2980
        assert values['image_change'] > 0
    learned = sum(v.numel() for k, v in states[1].items() if k.startswith('neck.upsamples.'))
    assert variants['learned']['params'] - variants['plain']['params'] == learned > 0
    report = (tmp_path / 'out/report.md').read_text()
    assert '# Variants compared' in report and 'each of these variants: plain, learned' in report
    assert 'options plain: {' in report and 'options learned' not in report


def test_a_resizer_trained_for_a_frozen_model(config, tmp_path, run_tool):
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'model', '--cfg-options',
             'model.data_preprocessor.resizer.type=FixedResizer', 'train_cfg.max_epochs=1')
    checkpoint = tmp_path / 'model/epoch_1.pth'
    for option in (['--train', 'resizer'], ['--finetune']):
        run_tool('tools/compare.py', config, *option, '--from', checkpoint, '--seeds', 0, '--jobs',
                 2, '--variants', 'bilinear', 'downsizenet', '--work-dir', tmp_path / option[-1])
    given = torch.load(checkpoint, weights_only=False)['state_dict']

    def changed(mode: str, variant: str) -> set[str]:
        file = tmp_path / mode / f'runs/{variant}-seed0/epoch_2.pth'
        weights = torch.load(file, weights_only=False)['state_dict']
        return {name for name, value in given.items() if not torch.equal(value, weights[name])}

    frozen = json.loads((tmp_path / 'resizer/results.json').read_text())
    assert frozen['mode'] == 'resizer' and frozen['checkpoint'] == str(checkpoint)
    assert changed('resizer', 'downsizenet') == set()
    assert not list((tmp_path / 'resizer/runs/bilinear-seed0').glob('*.pth'))  # nothing to learn
    text = run_tool('tools/test.py', config, checkpoint, '--cfg-options',
                    'model.data_preprocessor.resizer.type=FixedResizer')
    shown = f'pascal_voc/mAP: {frozen["variants"]["bilinear"]["seeds"]["0"]:.4f}'
    assert shown in text
    assert frozen['variants']['downsizenet']['image_change'] > 0
    for variant in ('bilinear', 'downsizenet'):
        assert any('backbone' in name for name in changed('--finetune', variant))


def test_every_seed_is_finetuned_from_its_own_model(config, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for seed in (0, 3):
        (tmp_path / f'model{seed}.pth').touch()
    arguments = [str(config), '--finetune', '--from', str(tmp_path / 'model{seed}.pth'),
                 '--work-dir', str(tmp_path / 'out'), '--seeds', '0', '3']
    [comparison] = compare.prepare(compare.parse_args(arguments))
    found = {run.seed: Config.fromfile(run.config_file).load_from for run in comparison.runs}
    assert found == {seed: str(tmp_path / f'model{seed}.pth') for seed in (0, 3)}
    with pytest.raises(FileNotFoundError, match='there is no file .*model1.pth'):
        compare.prepare(compare.parse_args([*arguments, '1']))


PLANTED = """
from dsnet_mm.resizers import FixedResizer
from mmengine.registry import MODELS
from torch import nn

@MODELS.register_module()
class Colors(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU())

    def forward(self, images):
        return (super().forward(images), )

@MODELS.register_module()
class HalfBlank(FixedResizer):
    def forward(self, images, size):
        small = super().forward(images, size)
        small[..., size[1] // 2:] = 0
        return small
"""


def make_squares(folder: Path, number: int) -> None:
    """Images of 64x64 pixels with a red and a green square each, and their label maps."""
    for kind in ('images', 'labels'):
        (folder / kind).mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(number):
        image = random.integers(60, 180, (64, 64, 3), np.uint8)
        labels = np.zeros((64, 64), np.uint8)
        for label in (1, 2):
            y, x = random.integers(0, 44, 2)
            labels[y:y + 20, x:x + 20] = label
            image[y:y + 20, x:x + 20] = 250 * (np.arange(3) == label)
        cv2.imwrite(str(folder / f'images/{index}.png'), image)
        cv2.imwrite(str(folder / f'labels/{index}.png'), labels)


@pytest.mark.slow
def test_a_planted_difference_is_found_and_a_planted_equality_too(tmp_path, monkeypatch):
    """One variant does not see the right half of the images."""
    (tmp_path / 'planted.py').write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    make_squares(tmp_path / 'train', 32)
    make_squares(tmp_path / 'val', 16)
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/mini/_base_/segmenters/segmentation.py',\n"
        f"          '{ROOT}/configs/_base_/datasets/labels.py']\n"
        "custom_imports = dict(imports=['dsnet_mm', 'planted'])\n"
        "head = dict(type='FCNHead', in_channels=16, in_index=0, channels=16, num_classes=3,\n"
        "            num_convs=1, norm_cfg=dict(type='BN'))\n"
        "model = dict(type='EncoderDecoder', data_preprocessor=dict(scale=0.5), decode_head=head,\n"
        "             backbone=dict(type='mmengine.Colors'), test_cfg=dict(mode='whole'))\n"
        "kind = dict(data_prefix=dict(img_path='images', seg_map_path='labels'),\n"
        "            metainfo=dict(classes=('none', 'green', 'red'), palette=[[0, 0, 0]] * 3),\n"
        "            img_suffix='.png')\n"
        f"train_data = dict(data_root='{tmp_path}/train', **kind)\n"
        'train_dataloader = dict(dataset=train_data, batch_size=4)\n'
        f"val_dataloader = dict(dataset=dict(data_root='{tmp_path}/val', **kind))\n"
        "optim_wrapper = dict(optimizer=dict(lr=0.01))\n"
        "param_scheduler = None\n"
        "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=25, val_interval=25)\n")
    arguments = [str(config), '--work-dir', str(tmp_path / 'out'), '--variants', 'bilinear',
                 "same={'type': 'FixedResizer', 'mode': 'bilinear'}",
                 "blank={'type': 'mmengine.HalfBlank'}"]
    [(_, runs, *_)] = compare.prepare(compare.parse_args(arguments))
    for run in runs:  # in this process, to start once
        SegLocalVisualizer._instance_dict.clear()  # it would log to the first run's folder
        save(train_and_evaluate(load_run(run.config_file)), run.result_file)
    assert compare.main(arguments) == 0
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert results['paired']['same-bilinear'] == dict(mean=0, ci95=[0, 0], n=3)
    assert verdict(PairedDifference(**results['paired']['same-bilinear'])) == 'no difference shown'
    assert verdict(PairedDifference(**results['paired']['blank-bilinear'])) == 'worse'
    report = (tmp_path / 'out/report.md').read_text()
    assert 'no difference shown' in report and 'worse' in report

    # The other way round, from the same runs.
    first = arguments.index('bilinear')
    blank = arguments.pop()
    assert compare.main([*arguments[:first], blank, *arguments[first:]]) == 0
    turned = json.loads((tmp_path / 'out/results.json').read_text())
    difference = turned['paired']['bilinear-blank']['mean']
    assert difference == -results['paired']['blank-bilinear']['mean']
    # The IoU of one class, in the curve of the training as well.
    assert compare.main([*arguments, '--metric', 'IoU/red']) == 0
    red = json.loads((tmp_path / 'out/results.json').read_text())
    for run in red['runs']:
        assert run['value'] == run['per_class']['red']
        assert run['curve'] == [[25, pytest.approx(run['value'], abs=0.01)]]
    # A run that was repeated: its new value counts.
    file = tmp_path / 'out/runs/same-seed1/result.json'
    file.write_text(file.read_text().replace('"mIoU": ', '"mIoU": 1'))
    assert compare.main([*arguments[:first], blank, *arguments[first:]]) == 0
    again = json.loads((tmp_path / 'out/results.json').read_text())
    assert again['variants']['same']['seeds']['1'] > 100
    assert shlex.split(again['command'])[:3] == ['dsnet-mm', 'compare', str(config)]


def test_fresh_forgets_everything(config, tmp_path):
    out = tmp_path / 'out'
    arguments = [str(config), '--seeds', '0', '--variants', 'bilinear', '--work-dir', str(out)]
    [(_, [run], *_)] = compare.prepare(compare.parse_args(arguments))
    for file in (run.folder / 'result.json', run.folder / 'epoch_1.pth', out / 'results.json'):
        file.write_text('{}')
    [(_, [run], *_)] = compare.prepare(compare.parse_args([*arguments, '--fresh']))
    assert not run.finished and list(run.folder.iterdir()) == []
    assert not (out / 'results.json').exists()


def test_a_run_that_has_nothing_to_lose_may_change(config, tmp_path):
    """One that crashed at once, of a typing error."""
    arguments = [str(config), '--seeds', '0', '--work-dir', str(tmp_path / 'out'), '--variants']
    for width in ('chanels', 'channels'):
        variant = f"mine={{'type': 'DownsizeNet', '{width}': 4}}"
        [(_, [run], *_)] = compare.prepare(compare.parse_args([*arguments, variant]))
        assert width in run.config_file.read_text()


def test_a_checkpoint_that_is_gone_is_not_resumed_from(config, tmp_path):
    arguments = [str(config), '--seeds', '0', '--work-dir', str(tmp_path / 'out')]
    [(_, [run, _], *_)] = compare.prepare(compare.parse_args(arguments))
    (run.folder / 'last_checkpoint').write_text(str(run.folder / 'epoch_1.pth'))
    assert run.checkpoint() is None and not build_runner(load_run(run.config_file))._resume
    torch.save({}, run.folder / 'epoch_1.pth')
    assert run.checkpoint() == str(run.folder / 'epoch_1.pth')
    assert build_runner(load_run(run.config_file))._resume


def test_two_comparisons_do_not_share_a_folder(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match='another comparison is running'):
        with locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


@pytest.mark.parametrize('arguments, message', [
    (['--variants', 'lanczos'], "unknown variant 'lanczos'"),
    (['--variants', 'bilinear', 'bilinear'], "two variants are named 'bilinear'"),
    (['--variants', "mine={'a'}"], "a variant must be"),
    (['--train', 'resizer'], 'need --from CHECKPOINT'),
    (['--from', 'model.pth'], 'it needs one of them'),
    (['--finetune', '--from', 'nowhere.pth'], 'there is no file nowhere.pth'),
    (['--seeds', '1', '1'], 'seeds must differ'),
    (['--jobs', '0'], '--jobs must be positive'),
    pytest.param(['--launcher', 'pytorch'], 'needs GPUs', marks=pytest.mark.skipif(
        torch.cuda.is_available(), reason='there are GPUs')),
])
def test_bad_arguments(config, tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        compare.main([str(config), '--work-dir', str(tmp_path / 'out'), *arguments])
    assert message in f'{error.value} {capsys.readouterr().err}'
    assert not (tmp_path / 'out').exists()


def test_a_config_without_the_line_is_told_the_line(tmp_path):
    with pytest.raises(SystemExit, match='type=dsnet_mm.DownsizeSegDataPreProcessor'):
        compare.main(['mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py',
                      '--work-dir', str(tmp_path)])


def test_an_unknown_metric_names_the_known_ones(config, tmp_path, run_tool):
    text = run_tool('tools/compare.py', config, '--variants', 'bilinear', '--seeds', 0,
                    '--work-dir', tmp_path / 'out', '--metric', 'mIoU', '--cfg-options',
                    'train_cfg.max_epochs=1', fails=True)
    assert '--metric one of pascal_voc/mAP, pascal_voc/AP50' in text

"""Trainings that are killed and resumed, alone and in several processes; memory that is not there.
"""
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dsnet_mm.engine.training import out_of_memory_explained

import pytest
import torch
from torch.distributed.elastic.utils.distributed import get_free_port
from trainings import segmenter, train

ROOT = Path(__file__).resolve().parents[2]
# Dropout, and photographs distorted and turned over at random.
CONFIG = 'configs/mini/textures/deeplabv3plus_textures.py'


def options(textures: Path, epochs: int) -> list[str]:
    return ['--cfg-options', f'data_root={textures}/', f'train_cfg.max_epochs={epochs}',
            'train_cfg.val_interval=100', 'train_dataloader.batch_size=2',
            'model.data_preprocessor.scale=0.15', 'model.data_preprocessor.resizer.channels=4']


def end(folder: Path, epochs: int) -> dict:
    """Weights and the optimizer's state at the end of a training."""
    checkpoint = torch.load(folder / f'epoch_{epochs}.pth', weights_only=False)
    states = checkpoint['optimizer']['state']
    return {**checkpoint['state_dict'],
            **{(i, name): value for i, state in states.items() for name, value in state.items()}}


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def begin(*command: object, **more: str) -> subprocess.Popen:
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable, **more)
    return subprocess.Popen([*map(str, command)], cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


def finish(*processes: subprocess.Popen) -> str:
    """What they print, together."""
    text = '\n'.join(process.communicate()[0] for process in processes)
    assert not any(process.returncode for process in processes), text
    return text


def test_killed_at_a_random_moment_and_resumed_it_ends_the_same(textures, run_tool, tmp_path):
    epochs = 6
    given = options(textures, epochs)
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path / 'whole', *given)
    folder = tmp_path / 'killed'
    process = begin(sys.executable, 'tools/train.py', CONFIG, '--work-dir', folder, *given)
    wait_for(lambda: (folder / 'epoch_1.pth').exists(), process)
    time.sleep(random.random())
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (folder / f'epoch_{epochs}.pth').exists()
    text = run_tool('tools/train.py', CONFIG, '--work-dir', folder, '--resume', *given)
    assert 'resumed epoch: ' in text
    assert_same(end(folder, epochs), end(tmp_path / 'whole', epochs))


@pytest.mark.slow
def test_killed_again_and_again(textures, run_tool, tmp_path):
    """While it starts, reads, trains and writes."""
    epochs, folder, killed = 30, tmp_path / 'killed', []
    given = options(textures, epochs)
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path / 'whole', *given)
    while not (folder / f'epoch_{epochs}.pth').exists():
        process = begin(sys.executable, 'tools/train.py', CONFIG, '--work-dir', folder, '--resume',
                        *given)
        before = set(folder.glob('*.pth'))
        while len(killed) % 2 and process.poll() is None and not set(folder.glob('*.pth')) - before:
            time.sleep(0.05)  # every other time it gets somewhere
        time.sleep(3 * random.random())
        process.kill()
        killed.append(process.wait())
        assert killed[-1] in (-signal.SIGKILL, 0)
    run_tool('tools/train.py', CONFIG, '--work-dir', folder, '--resume', *given)
    print(f'killed {killed.count(-signal.SIGKILL)} times')
    assert killed.count(-signal.SIGKILL) >= 5
    assert_same(end(folder, epochs), end(tmp_path / 'whole', epochs))


def workers(process: subprocess.Popen) -> list[int]:
    """Processes that torchrun has started."""
    file = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    return [int(pid) for pid in file.read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize('processes', [2, 4])
def test_a_rank_killed_in_the_middle_ends_the_job_and_it_resumes(processes, textures, tmp_path):
    epochs = 8
    given = options(textures, epochs)
    command = ['bash', 'tools/dist_train.sh', CONFIG, processes, '--work-dir']

    finish(begin(*command, tmp_path / 'whole', *given))
    folder = tmp_path / 'killed'
    process = begin(*command, folder, *given)
    wait_for(lambda: (folder / 'epoch_1.pth').exists(), process)
    os.kill(workers(process)[-1], signal.SIGKILL)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and 'Signal 9 (SIGKILL)' in text
    assert not (folder / f'epoch_{epochs}.pth').exists()
    assert 'resumed epoch: ' in finish(begin(*command, folder, '--resume', *given))
    resumed, whole = end(folder, epochs), end(tmp_path / 'whole', epochs)
    if processes == 2:  # the sum of more depends on its order, which gloo does not promise
        assert_same(resumed, whole)


FIXED = """
_base_ = ['{root}/configs/mini/textures/fcn_textures.py']
# Nothing random, and nothing that looks at other images of the batch.
model = dict(backbone=dict(with_bn=False), decode_head=dict(dropout_ratio=0))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9),
    paramwise_cfg=dict(custom_keys=dict(data_preprocessor=dict(lr_mult=1000))))
"""


def fixed(folder: Path, textures: Path) -> tuple[Path, list[str]]:
    config = folder / 'fixed.py'
    config.write_text(FIXED.format(root=ROOT))
    return config, [*options(textures, 2), 'model.data_preprocessor.target_size=(40,40)',
                    'model.data_preprocessor.scale=None']


def torchrun(config: Path, folder: Path, given: list[str]) -> list[subprocess.Popen]:
    return [begin('bash', 'tools/dist_train.sh', config, 2, '--work-dir', folder, *given)]


def two_nodes(config: Path, folder: Path, given: list[str]) -> list[subprocess.Popen]:
    where = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=str(get_free_port()))
    return [begin('bash', 'tools/dist_train.sh', config, 1, '--work-dir', folder, *given,
                  NODE_RANK=str(rank), **where) for rank in range(2)]


def slurm(config: Path, folder: Path, given: list[str]) -> list[subprocess.Popen]:
    """What ``srun -n 2`` sets, and the command that mmengine asks for the host's name."""
    folder.mkdir()
    scontrol = folder / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho 127.0.0.1\n')
    scontrol.chmod(0o755)
    where = dict(SLURM_NTASKS='2', SLURM_NODELIST='localhost', MASTER_PORT=str(get_free_port()),
                 PATH=f'{folder}:{os.environ["PATH"]}', SLURM_LOCALID='-1')  # -1: no GPU
    return [begin(sys.executable, 'tools/train.py', config, '--launcher', 'slurm', '--work-dir',
                  folder, *given, 'env_cfg.dist_cfg.backend=gloo',
                  'model_wrapper_cfg.type=MMDistributedDataParallel',
                  'model_wrapper_cfg.device_ids=None', SLURM_PROCID=str(rank), **where)
            for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('launch', [torchrun, two_nodes, slurm])
def test_two_processes_train_as_one(launch, textures, run_tool, tmp_path):
    config, given = fixed(tmp_path, textures)
    finish(*launch(config, tmp_path / 'two', given))
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'one', *given,
             'train_dataloader.batch_size=4')
    one, two = (end(tmp_path / name, 2) for name in ('one', 'two'))
    assert one['data_preprocessor.resizer.logits.weight'].abs().max() > 1e-3
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_processes_test_as_one(textures, run_tool, tmp_path):
    config, given = fixed(tmp_path, textures)
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'one', *given)
    checkpoint = tmp_path / 'one/epoch_2.pth'
    text = finish(begin('bash', 'tools/dist_test.sh', config, checkpoint, 2, '--work-dir',
                        tmp_path / 'tested', *given))
    alone = run_tool('tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'tested',
                     *given)
    assert text.split('mIoU: ')[-1].split()[0] == alone.split('mIoU: ')[-1].split()[0]


def test_a_checkpoint_that_is_none_is_named(run_tool, tmp_path):
    broken = tmp_path / 'epoch_3.pth'
    broken.write_bytes(b'PK\3\4 cut off')
    (tmp_path / 'last_checkpoint').write_text(str(broken))
    for arguments in (['tools/train.py', CONFIG, '--resume'],
                      ['tools/test.py', CONFIG, broken]):
        text = run_tool(*arguments, '--work-dir', tmp_path, fails=True)
        assert f'{broken} is cut off after 12 bytes: delete it' in text.splitlines()[-1]


def test_memory_that_is_not_there_is_explained(data_root, tmp_path):
    with pytest.raises(MemoryError, match=r"(?s)can't allocate memory.*resizer.with_cp=True"):
        with out_of_memory_explained():
            torch.empty(10**15)
    with pytest.raises(RuntimeError, match='must match'), out_of_memory_explained():
        torch.ones(2) + torch.ones(3)
    cfg = segmenter(data_root, tmp_path, model__data_preprocessor__scale=None,
                    model__data_preprocessor__target_size=(10**6, 10**6))
    with pytest.raises(MemoryError, match='resizer.with_cp=True'), out_of_memory_explained():
        train(cfg)

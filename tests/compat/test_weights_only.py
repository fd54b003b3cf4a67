"""Checkpoints are data: what is in them is loaded, and code in them is not run."""
import os
import pickle
from collections.abc import Callable
from pathlib import Path

from dsnet_mm import DownsizeDetDataPreprocessor

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint


class Code:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.file), )


class Reached:
    """Reaches for what is beside what may be loaded."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return getattr, (torch.Tensor, 'map_')


def load(file: Path) -> dict:
    return CheckpointLoader.load_checkpoint(str(file), map_location='cpu', logger='silent')


@pytest.mark.parametrize('zipped', [True, False])
def test_what_mmengine_saves_is_loaded(zipped, tmp_path):
    log = HistoryBuffer([1., 2., 4.], [1, 1, 2])
    given = dict(
        state_dict={'a': torch.rand(2, 3), 'b': torch.arange(4), 'half': torch.rand(2).half()},
        optimizer=dict(state={0: dict(step=torch.tensor(3.), exp_avg=torch.rand(2))},
                       param_groups=[dict(lr=np.float64(0.1), betas=(0.9, 0.99), params=[0])]),
        message_hub=dict(log_scalars={'loss': log}, runtime_info=dict(
            metric=np.float32(0.5), count=np.int64(7), flag=np.bool_(True),
            palette=np.eye(3, dtype=np.uint8), names=np.array(['a', 'b']))),
        meta=dict(epoch=3, cfg='model = dict()', dataset_meta=dict(classes=('cat', 'dog'))))
    file = tmp_path / 'epoch_3.pth'
    torch.save(given, file, _use_new_zipfile_serialization=zipped)
    loaded = load(file)
    for key, value in given['state_dict'].items():
        assert torch.equal(loaded['state_dict'][key], value)
    assert loaded['meta'] == given['meta']
    np.testing.assert_equal(loaded['message_hub']['runtime_info'],
                            given['message_hub']['runtime_info'])
    group = loaded['optimizer']['param_groups'][0]
    assert group == given['optimizer']['param_groups'][0] and type(group['lr']) is np.float64
    again = loaded['message_hub']['log_scalars']['loss']
    for statistic in ('min', 'max', 'mean', 'current'):
        assert again.statistics(statistic) == log.statistics(statistic)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('kind', [Code, Reached])
def test_code_is_refused(kind, zipped, tmp_path):
    file, touched = tmp_path / 'code.pth', tmp_path / 'touched'
    code = Code(touched) if kind is Code else Reached()
    torch.save(dict(state_dict={}, code=code), file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match=f'{file} holds more than weights.*state_dict'):
        load(file)
    assert not touched.exists()
    if kind is Code:  # it would have
        torch.load(file, weights_only=False)
        assert touched.exists()


def test_the_resizers_init_cfg_refuses_code(tmp_path):
    torch.save(dict(state_dict={}, code=Code(tmp_path / 'touched')), tmp_path / 'code.pth')
    ours = DownsizeDetDataPreprocessor(scale=0.5, resizer=dict(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'code.pth'),
        prefix='data_preprocessor.resizer.')))
    with pytest.raises(pickle.UnpicklingError, match='holds more than weights'):
        ours.init_weights()
    assert not (tmp_path / 'touched').exists()


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'none.pth'))

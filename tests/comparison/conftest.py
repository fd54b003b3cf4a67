"""What the tests of comparisons share."""
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(textures, tmp_path) -> Path:
    """A detector, on data and a schedule of seconds."""
    file = tmp_path / 'small.py'
    file.write_text(
        f"_base_ = ['{ROOT}/configs/mini/textures/centernet_textures.py']\n"
        'model = dict(data_preprocessor=dict(target_size=(64, 64)))\n'
        f"train_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{textures}/'))\n"
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_epochs=2, val_interval=1)\n')
    return file

"""Whole models with their weights, and what is no checkpoint of theirs."""
from dsnet_mm.config import build_model, load_config
from dsnet_mm.engine.loading import load_model

import pytest
import torch


def test_weights_of_this_model(tmp_path):
    cfg = load_config('configs/mini/cracks/unet_cracks.py')
    model, file = build_model(cfg), tmp_path / 'model.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=['a']))),
               file)
    loaded = load_model(cfg, str(file))
    assert loaded.dataset_meta == dict(classes=['a'])
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_what_is_no_checkpoint_of_the_model(tmp_path):
    cfg, file = load_config('configs/mini/cracks/unet_cracks.py'), tmp_path / 'model.pth'
    state = build_model(load_config('configs/mini/drive/unet_drive.py')).state_dict()
    del state['decode_head.conv_seg.bias']
    torch.save(dict(state_dict={**state, 'other': torch.zeros(2)}), file)
    with pytest.raises(ValueError, match='model.pth is of another model than the config.*other.*'
                       'missing keys.*conv_seg.bias') as caught:
        load_model(cfg, str(file))
    assert len(str(caught.value)) < 800 and chr(10) not in str(caught.value)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError, match='model.pth is cut off after'):
        load_model(cfg, str(file))
    with pytest.raises(FileNotFoundError, match='there is no checkpoint .*none.pth'):
        load_model(cfg, str(tmp_path / 'none.pth'))

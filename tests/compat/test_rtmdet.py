"""Masks of RTMDet-Ins behind a resizer that changes the ratio of the image's sides."""
from dsnet_mm.config import build_model, load_config

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample


@pytest.mark.parametrize('size', [(160, 160), (96, 192), (96, 128)])
def test_masks_lie_on_the_original_image(size):
    cfg = load_config('mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py', {
        'model.backbone.init_cfg': None, 'model.test_cfg.score_thr': 0.,
        'model.test_cfg.nms_pre': 30,
        'model.data_preprocessor.type': 'dsnet_mm.DownsizeDetDataPreprocessor',
        'model.data_preprocessor.batch_augments': None,
        'model.data_preprocessor.target_size': size})
    model = build_model(cfg).eval()
    model.init_weights()
    torch.nn.init.normal_(model.bbox_head.rtm_kernel[0].weight, std=0.5)
    sample = DetDataSample(metainfo=dict(
        img_shape=(300, 400), ori_shape=(300, 400), scale_factor=(1., 1.)))
    data = model.data_preprocessor(
        dict(inputs=[torch.randint(0, 256, (3, 300, 400)).byte()], data_samples=[sample]))
    with torch.no_grad():
        small, large = (model.predict(data['inputs'], data['data_samples'], rescale=rescale)[0]
                        .pred_instances for rescale in (False, True))
    height, width = size
    assert large.masks.shape == (len(large), 300, 400)
    torch.testing.assert_close(
        large.bboxes, small.bboxes * torch.tensor([400 / width, 300 / height] * 2))
    expected = F.interpolate(small.masks[None].float(), (300, 400), mode='bilinear')[0] > 0.5
    assert 0.01 < expected.float().mean() < 0.99
    assert (large.masks == expected).float().mean() > 0.97

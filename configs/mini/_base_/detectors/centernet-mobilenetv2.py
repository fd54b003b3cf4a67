# CenterNet on one map of stride 4, which fuses the backbone's four: the last one is only 3x3 for a
# 96x96 image.
_base_ = ['./mobilenetv2.py']

model = dict(
    type='CenterNet',
    neck=dict(type='HRFPN', in_channels=[24, 32, 96, 320], out_channels=64, num_outs=1),
    bbox_head=dict(
        type='CenterNetHead', num_classes=1, in_channels=64, feat_channels=64,
        loss_center_heatmap=dict(type='GaussianFocalLoss', loss_weight=1.0),
        loss_wh=dict(type='L1Loss', loss_weight=0.1),
        loss_offset=dict(type='L1Loss', loss_weight=1.0)),
    train_cfg=None,
    test_cfg=dict(topk=100, local_maximum_kernel=3, max_per_img=100))
optim_wrapper = dict(clip_grad=dict(max_norm=10))

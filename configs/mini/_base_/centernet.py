# CenterNet with every module of the paper's (ResNet-18, deformable convolutions in the neck), a
# quarter as wide. To learn classes from random weights within minutes it has a stem of 3x3
# convolutions, and stops at stride 16: there is no way around the ResNet's last map.
_base_ = ['./detection.py']

model = dict(
    type='CenterNet',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        target_size=(160, 160),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNet', depth=18, deep_stem=True, stem_channels=32, base_channels=16,
        strides=(1, 2, 2, 1), norm_eval=False, norm_cfg=dict(type='BN')),
    neck=dict(
        type='CTResNetNeck', in_channels=128, num_deconv_filters=(32, 32),
        num_deconv_kernels=(4, 4), use_dcn=True),
    bbox_head=dict(
        type='CenterNetHead', num_classes=1, in_channels=32, feat_channels=32,
        loss_center_heatmap=dict(type='GaussianFocalLoss', loss_weight=1.0),
        loss_wh=dict(type='L1Loss', loss_weight=0.1),
        loss_offset=dict(type='L1Loss', loss_weight=1.0)),
    train_cfg=None,
    test_cfg=dict(topk=100, local_maximum_kernel=3, max_per_img=100))

optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10))

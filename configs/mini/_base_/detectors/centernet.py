# CenterNet with every module of the paper's, a quarter as wide. To learn classes from random
# weights within minutes it has a stem of 3x3 convolutions and stops at stride 16: its neck has no
# skip connections around the ResNet's last map.
_base_ = ['../../../_base_/models/centernet_r18-dcnv2.py', './detection.py']

model = dict(
    backbone=dict(
        deep_stem=True, stem_channels=32, base_channels=16, strides=(1, 2, 2, 1), init_cfg=None),
    neck=dict(in_channels=128, num_deconv_filters=(32, 32), num_deconv_kernels=(4, 4)),
    bbox_head=dict(in_channels=32, feat_channels=32))

optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10))

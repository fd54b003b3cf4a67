# RefineDet with every module of the paper's, a quarter as wide or less. From random weights it
# needs normalisation, of its input too.
_base_ = ['../../../_base_/models/refinedet_vgg16.py', './detection.py']

norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375]),
    backbone=dict(base_channels=16, fc_channels=128, with_bn=True, init_cfg=None),
    neck=dict(
        in_channels=(128, 128, 128), extra_channels=128, feat_channels=64, norm_cfg=norm_cfg),
    bbox_head=dict(in_channels=(64, 64, 64, 64), arm_in_channels=(128, 128, 128, 128)))

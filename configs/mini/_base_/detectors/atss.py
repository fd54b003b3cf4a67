# ATSS on three levels of a feature pyramid with learned upsampling, a quarter as wide, in 160x160
# pixels. Its anchors are half as large as mmdet's.
_base_ = ['../../../_base_/models/det_preprocessor.py', './detection.py']

model = dict(
    type='ATSS',
    data_preprocessor=dict(target_size=(160, 160)),
    backbone=dict(
        type='ResNet', depth=18, deep_stem=True, stem_channels=16, base_channels=16, num_stages=4,
        out_indices=(1, 2, 3), norm_eval=False, norm_cfg=dict(type='BN')),
    neck=dict(
        type='dsnet_mm.DownsizeFPN', in_channels=[32, 64, 128], out_channels=64, num_outs=3),
    bbox_head=dict(
        type='ATSSHead', num_classes=1, in_channels=64, feat_channels=64, stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=16),
        anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1,
            strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=100))

# YOLOX's neck and head, half as wide as YOLOX-s; images are normalised.
_base_ = ['./mobilenetv2.py']

model = dict(
    type='YOLOX',
    neck=dict(
        type='YOLOXPAFPN', in_channels=[24, 32, 96, 320], out_channels=64, num_csp_blocks=1,
        norm_cfg=dict(type='BN'), act_cfg=dict(type='Swish')),
    bbox_head=dict(
        type='YOLOXHead', num_classes=1, in_channels=64, feat_channels=64, stacked_convs=2,
        strides=(4, 8, 16, 32), norm_cfg=dict(type='BN'), act_cfg=dict(type='Swish')),
    train_cfg=dict(assigner=dict(type='SimOTAAssigner', center_radius=2.5)),
    test_cfg=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.65)))

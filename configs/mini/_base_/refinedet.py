# RefineDet with every module of the paper's, a quarter as wide or less, with batch norm.
_base_ = ['./detection.py']

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        target_size=(160, 160),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='dsnet_mm.RefineDetVGG', depth=16, base_channels=16, fc_channels=128, with_bn=True),
    neck=dict(
        type='dsnet_mm.RefineDetNeck', in_channels=(128, 128, 128), extra_channels=128,
        feat_channels=64, norm_cfg=dict(type='BN')),
    bbox_head=dict(
        type='dsnet_mm.RefineDetHead', num_classes=1, in_channels=(64, 64, 64, 64),
        arm_in_channels=(128, 128, 128, 128),
        # The sizes are derived in configs/refinedet.
        anchor_generator=dict(
            type='AnchorGenerator', strides=[8, 16, 32, 64], ratios=[0.5, 1.0, 2.0], scales=[3],
            center_offset=0.5)),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.,
            ignore_iof_thr=-1, gt_max_assign_all=False),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3),
    test_cfg=dict(
        nms_pre=1000, nms=dict(type='nms', iou_threshold=0.45), score_thr=0.01, max_per_img=500))

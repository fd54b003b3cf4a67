# Light-Head R-CNN with every module of the paper's (VGG16, RPN, large separable convolution,
# position-sensitive pooling, one wide layer, hard example mining), an eighth as wide and with batch
# norm.
_base_ = ['./detection.py']

model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        short_edge=165,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='dsnet_mm.VGG', base_channels=8, with_bn=True),
    rpn_head=dict(
        type='RPNHead', in_channels=64, feat_channels=64,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[0.5, 1, 2, 4, 8], ratios=[0.5, 1.0, 2.0],
            strides=[16], center_offset=0.5),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='dsnet_mm.LightHeadRoIExtractor', in_channels=64, mid_channels=16,
            featmap_strides=[16],
            # From random weights the authors' deviation would leave hardly any signal.
            init_cfg=dict(type='Xavier', layer='Conv2d')),
        bbox_head=dict(
            type='dsnet_mm.LightHeadBBoxHead', num_hard=128, num_classes=1, fc_out_channels=256,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.0,
                ignore_iof_thr=-1),
            sampler=dict(
                type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1,
                add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(
            nms_pre=2000, max_per_img=300, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(
                type='RandomSampler', num=10000, pos_fraction=1.0, neg_pos_ub=-1,
                add_gt_as_proposals=True),
            pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(
            nms_pre=1000, max_per_img=200, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))

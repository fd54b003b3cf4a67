# RefineDet on VGG16, 160x160. The test settings are those of its authors.
_base_ = ['./det_preprocessor.py']

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        target_size=(160, 160), std=[1, 1, 1], resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='dsnet_mm.RefineDetVGG', depth=16,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')),
    neck=dict(type='dsnet_mm.RefineDetNeck'),
    bbox_head=dict(
        type='dsnet_mm.RefineDetHead', num_classes=20,
        # 160x160 has 20, 10, 5 and 3 cells a side: 1602 anchors. RefineDet's sizes, 4 x stride
        # (32 to 256), are for 320 pixels; half of them would fit objects half as large, but
        # as the cells stay 8 to 64 pixels wide, leave gaps between the anchors. Of boxes spread
        # evenly over the logarithm of their area (0.3 to 85% of the image), 3 x stride (24 to 192)
        # reaches an IoU of 0.5 with 74%; 2 x with 68%, 4 x with 65%. Every other box gets its best
        # anchor.
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

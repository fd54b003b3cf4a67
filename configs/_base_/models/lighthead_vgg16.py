# The authors' Light-Head R-CNN on conv5_3 of VGG16 (stride 16), for a short side of 165.
_base_ = ['./det_preprocessor.py']

model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(short_edge=165, resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='dsnet_mm.VGG',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16')),
    rpn_head=dict(
        type='RPNHead', in_channels=512, feat_channels=512,
        # The authors' anchors of 32 to 512 pixels are for images of 600 to 800; a short side of
        # 165 is about a quarter of that: 8 to 128 pixels, 0.5 to 8 cells of the 10x13 map. Of boxes
        # of 0.3 to 85 % of the image 67 % reach an IoU of 0.5, 61 % with the authors' sizes.
        anchor_generator=dict(
            type='AnchorGenerator', scales=[0.5, 1, 2, 4, 8], ratios=[0.5, 1.0, 2.0],
            strides=[16], center_offset=0.5),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='dsnet_mm.LightHeadRoIExtractor', in_channels=512, featmap_strides=[16]),
        bbox_head=dict(
            type='dsnet_mm.LightHeadBBoxHead', num_classes=20,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                # Cells are as large as many objects: every object gets its best anchor.
                type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.0,
                ignore_iof_thr=-1, gt_max_assign_all=False),
            sampler=dict(
                type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1,
                add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(
            nms_pre=12000, max_per_img=2000, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                match_low_quality=False, ignore_iof_thr=-1),
            # All proposals: LightHeadBBoxHead picks the hardest.
            sampler=dict(
                type='RandomSampler', num=10000, pos_fraction=1.0, neg_pos_ub=-1,
                add_gt_as_proposals=True),
            pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(
            nms_pre=6000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))

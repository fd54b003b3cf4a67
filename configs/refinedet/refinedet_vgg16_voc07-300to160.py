# RefineDet in the paper's setting (Table 1): VOC2007, VGG16, 300x300 -> 160x160. The schedule and
# the test settings are those of RefineDet's authors, the augmentation is mmdet's for SSD on VOC.
_base_ = ['../_base_/voc07.py', 'mmdet::_base_/default_runtime.py']

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        target_size=(160, 160),
        mean=[123.675, 116.28, 103.53],
        std=[1, 1, 1],
        bgr_to_rgb=True),
    backbone=dict(
        type='dsnet_mm.RefineDetVGG', depth=16,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')),
    neck=dict(type='dsnet_mm.RefineDetNeck'),
    bbox_head=dict(
        type='dsnet_mm.RefineDetHead', num_classes=20,
        # 160x160 has 20, 10, 5 and 3 cells a side: 1602 anchors. RefineDet's sizes, 4 x stride
        # (32 to 256), were made for 320 pixels; half of them would fit objects half as large, but
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

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Expand', mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 4)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PhotoMetricDistortion', brightness_delta=32, contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5), hue_delta=18),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, end=120000, milestones=[80000, 100000], gamma=0.1)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=120000, val_interval=10000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)

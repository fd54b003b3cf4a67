# Light-Head R-CNN in the paper's setting (Table 1): VOC2007, VGG16, the short side 300 -> 165 with
# the ratio kept. The model is that of Light-Head's authors on conv5_3 (stride 16).
_base_ = [
    '../_base_/models/lighthead_vgg16.py', '../_base_/datasets/paper/voc07.py',
    'mmdet::_base_/default_runtime.py'
]

# The long side is free, so that the short one is 300 for every ratio.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(3000, 300), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(3000, 300), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', end=80, milestones=[50, 70], gamma=0.1),
]
# 80 epochs, as far as Figure 5 goes.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=80, val_interval=10)

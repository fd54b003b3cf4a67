# CenterNet in the paper's setting (Table 1): VOC2007, ResNet-18 with deformable convolutions,
# 300x300 -> 160x160. The model is mmdet's; the schedule is that of CenterNet's authors for VOC.
_base_ = [
    '../_base_/models/centernet_r18-dcnv2.py', '../_base_/datasets/paper/voc07.py',
    'mmdet::_base_/default_runtime.py'
]

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PhotoMetricDistortion', brightness_delta=32, contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5), hue_delta=18),
    dict(
        type='RandomCenterCropPad', crop_size=(300, 300),
        ratios=(0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3), mean=[0, 0, 0], std=[1, 1, 1],
        to_rgb=True, test_pad_mode=None),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_300x300_border
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1.25e-4))
param_scheduler = [dict(type='MultiStepLR', end=70, milestones=[45, 60], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=70, val_interval=10)

# 0.8 G multiply-adds for 144x112 pixels, from random weights. Crops of 480x320 pixels at 0.3x need
# no padding.
_base_ = ['../_base_/segmenters/unet.py', '../../_base_/datasets/camvid.py']

model = dict(
    backbone=dict(base_channels=20),
    decode_head=dict(
        in_channels=20, channels=20, num_classes=11,
        loss_decode=dict(
            _delete_=True, type='dsnet_mm.ClassWeightedCrossEntropyLoss',
            class_weight={{_base_.class_weight}})))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(320, 480)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1200, val_interval=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=1200, eta_min=1e-6),
]

# DeepLabv3+ in the paper's setting (Table 2): Cityscapes, ResNet-101, crops of 513x513 -> 179x179
# (0.35 times). Everything but the crop and the one line is mmseg's.
_base_ = [
    'mmseg::_base_/models/deeplabv3plus_r50-d8.py', 'mmseg::_base_/datasets/cityscapes.py',
    'mmseg::_base_/default_runtime.py', 'mmseg::_base_/schedules/schedule_40k.py'
]

crop_size = (513, 513)
# Also at the top level, as mmseg's own configs have it: test-time augmentation reads it there.
data_preprocessor = dict(
    type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.35, size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# mmseg has 2 on each of four GPUs; small images fit on one.
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

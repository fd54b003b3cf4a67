# mmseg's Cityscapes with crops of 513x513.
_base_ = ['mmseg::_base_/datasets/cityscapes.py']

crop_size = (513, 513)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# mmseg has 2 on each of four GPUs; resized images fit on one.
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

# Data in PASCAL VOC's layout, resized to 300x300 as in the paper. Children set data_root and
# the classes.
_base_ = ['./300x300.py']

data_root = None

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_300x300_border
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='XMLDataset', ann_file='ImageSets/Main/train.txt', data_prefix=dict(sub_data_root=''),
        # bccd has a box without area, which would make the loss infinite.
        filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='XMLDataset', ann_file='ImageSets/Main/val.txt', data_prefix=dict(sub_data_root=''),
        test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# VOC2007 alone, as in the paper: trained on trainval, validated on test. Children set the training
# pipeline.
_base_ = ['mmdet::_base_/datasets/voc0712.py', '../300x300.py']

data_root = 'data/VOCdevkit/'

test_pipeline = _base_.test_300x300
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        _delete_=True, type='VOCDataset', data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The quickstart's data set (tools/datasets/make_cracks.py): 200 images of 240x240 pixels to train
# on, 60 to validate.
_base_ = ['../labels.py']

data_root = 'data/cracks/'
metainfo = dict(classes=('background', 'crack'), palette=[[0, 0, 0], [255, 60, 60]])

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomRotFlip', rotate_prob=0, flip_prob=1),  # quarter turns and flips
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4, drop_last=False, sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        data_root=data_root, metainfo=metainfo, img_suffix='.png', pipeline=train_pipeline,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train')))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo, img_suffix='.png',
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val')))
test_dataloader = val_dataloader

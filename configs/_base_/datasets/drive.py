# Retinal vessels, 565x584: 20 images to train on. Validation is on the official test set's 20: do
# not tune on them. Crops of 320 pixels at 0.3x are 96, which needs no padding.
_base_ = ['./labels.py']

data_root = '{{$DSNET_MM_DATA:data}}/drive/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(320, 320)),
    dict(type='RandomRotFlip', rotate_prob=0, flip_prob=1),  # quarter turns and flips
    dict(type='PhotoMetricDistortion', brightness_delta=10, contrast_range=(0.8, 1.2),
         saturation_range=(1, 1), hue_delta=1),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4, drop_last=False, sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='DRIVEDataset', data_root=data_root, pipeline=train_pipeline,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training')))
val_dataloader = dict(
    dataset=dict(
        type='DRIVEDataset', data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation')))
test_dataloader = val_dataloader

# FCN-8s in the paper's setting (Table 2): VOC2012Seg, VGG16, images of any size -> 100x100.
# The optimiser is that of FCN's own paper (Section 4.3): fixed 1e-4, biases twice as fast.
_base_ = [
    'mmseg::_base_/datasets/pascal_voc12.py', 'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py'
]

# Also at the top level, as mmseg's own configs have it: test-time augmentation reads it there.
data_preprocessor = dict(
    type='dsnet_mm.DownsizeSegDataPreProcessor',
    target_size=(100, 100),
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size_divisor=1)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='dsnet_mm.FCNVGG',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16')),
    decode_head=dict(
        type='dsnet_mm.FCN8sHead', num_classes=21, pretrained='torchvision://vgg16',
        # The authors' scales are for images of 0 to 255; divided by a deviation of about 58, the
        # maps are as many times smaller.
        skip_scales=(0.0058, 0.58)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

# Every image is shrunk from its own size.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=20, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(bias_lr_mult=2.))
param_scheduler = []

# Pipelines of detectors with input images of 300x300 pixels, as in the paper's Table 1.
train_300x300 = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_300x300 = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
# RandomCenterCropPad pads nothing here, but writes the border that CenterNet's predict reads.
test_300x300_border = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(
        type='RandomCenterCropPad', ratios=None, border=None, mean=[0, 0, 0], std=[1, 1, 1],
        to_rgb=True, test_mode=True, test_pad_mode=['size_divisor', 1]),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'border')),
]

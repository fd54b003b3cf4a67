# A detector's backbone with ImageNet's weights: maps of strides 4 to 32, as the objects of a small
# image are small. mmdet's has the classifier's last convolution as well, which nothing uses.
_base_ = ['./detection.py']

model = dict(
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        target_size=(160, 160),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='MobileNetV2', out_indices=(1, 2, 4, 6),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')))
find_unused_parameters = True

# A detector's backbone with ImageNet's weights: maps of strides 4 to 32, as the objects of a small
# image are small. mmdet's has the classifier's last convolution as well, which nothing uses.
_base_ = ['../../../_base_/models/det_preprocessor.py', './detection.py']

model = dict(
    data_preprocessor=dict(target_size=(160, 160)),
    backbone=dict(
        type='MobileNetV2', out_indices=(1, 2, 4, 6),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')))
find_unused_parameters = True

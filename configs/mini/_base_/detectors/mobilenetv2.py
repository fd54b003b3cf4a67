# A detector's backbone pre-trained on ImageNet: maps of strides 4 to 32, as objects in resized
# images are small. mmdet's default also has the classifier's last convolution, which is unused.
_base_ = ['../../../_base_/models/det_preprocessor.py', './detection.py']

model = dict(
    data_preprocessor=dict(target_size=(160, 160)),
    backbone=dict(
        type='MobileNetV2', out_indices=(1, 2, 4, 6),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')))
find_unused_parameters = True

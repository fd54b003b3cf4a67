# FCN-8s with every module of the paper's, an eighth as wide (fc6 and fc7 less). It starts from
# random weights, so VGG is normalised and the skips keep their scale.
_base_ = ['./segmentation.py']

model = dict(
    data_preprocessor=dict(target_size=(100, 100), resizer=dict(type='DownsizeNet')),
    backbone=dict(type='dsnet_mm.FCNVGG', base_channels=8, with_bn=True),
    decode_head=dict(
        type='dsnet_mm.FCN8sHead', in_channels=(3, 32, 64, 64), channels=128,
        skip_scales=(1, 1), num_classes=2))

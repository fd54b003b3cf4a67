# The backbone of a segmenter: a ResNet-18, a quarter as wide, of strides 4 to 32.
_base_ = ['./segmentation.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(scale=0.35),
    backbone=dict(
        type='ResNetV1c', depth=18, stem_channels=16, base_channels=16, num_stages=4,
        out_indices=(0, 1, 2, 3), dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2), norm_cfg=norm_cfg,
        norm_eval=False, style='pytorch'))

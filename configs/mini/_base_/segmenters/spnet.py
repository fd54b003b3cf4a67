# SPNet with every module of the paper's (strip pooling in a dilated ResNet-50, two mixed pooling
# modules, auxiliary head), a quarter as wide. Mixed pooling pools to 8 and 4 instead of 20 and 12:
# maps here are hardly larger than 12.
_base_ = ['./segmentation.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(scale=0.3, resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='dsnet_mm.SPNetResNet', depth=50, stem_channels=32, base_channels=16,
        dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), multi_grid=(4, 8, 16), norm_cfg=norm_cfg,
        contract_dilation=True),
    decode_head=dict(
        type='dsnet_mm.SPNetHead', in_channels=512, channels=128, pool_sizes=(8, 4), num_classes=2,
        norm_cfg=norm_cfg, align_corners=True),
    auxiliary_head=dict(
        type='FCNHead', in_channels=256, in_index=2, channels=64, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=2, norm_cfg=norm_cfg, align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)))

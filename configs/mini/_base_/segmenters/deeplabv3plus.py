# DeepLabv3+ with every module of the paper's (dilated ResNet, ASPP, decoder, auxiliary head), its
# heads an eighth as wide.
_base_ = ['./resnet18.py']

model = dict(
    data_preprocessor=dict(resizer=dict(type='DownsizeNet')),
    backbone=dict(dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), contract_dilation=True),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', in_channels=128, in_index=3, channels=64,
        dilations=(1, 3, 6, 9), c1_in_channels=16, c1_channels=16, dropout_ratio=0.1,
        num_classes=2, norm_cfg=_base_.norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead', in_channels=64, in_index=2, channels=32, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=2, norm_cfg=_base_.norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)))

# A feature pyramid whose levels the learned interpolation brings to one size, where a head joins
# them.
_base_ = ['./segmentation.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(scale=0.35),
    backbone=dict(
        type='ResNetV1c', depth=18, stem_channels=16, base_channels=16, num_stages=4,
        out_indices=(0, 1, 2, 3), dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2), norm_cfg=norm_cfg,
        norm_eval=False, style='pytorch'),
    neck=[
        dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=32, num_outs=4),
        dict(type='dsnet_mm.DownsizeNeck', in_channels=[32, 32, 32, 32], to_level=0),
    ],
    decode_head=dict(
        type='FCNHead', in_channels=(32, 32, 32, 32), in_index=(0, 1, 2, 3),
        input_transform='resize_concat', channels=64, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=2, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

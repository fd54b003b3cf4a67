# A feature pyramid whose levels learned interpolation resizes to one size; the head joins them.
_base_ = ['./resnet18.py']

model = dict(
    neck=[
        dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=32, num_outs=4),
        dict(type='dsnet_mm.DownsizeNeck', in_channels=[32, 32, 32, 32], to_level=0),
    ],
    decode_head=dict(
        type='FCNHead', in_channels=(32, 32, 32, 32), in_index=(0, 1, 2, 3),
        input_transform='resize_concat', channels=64, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=2, norm_cfg=_base_.norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)))

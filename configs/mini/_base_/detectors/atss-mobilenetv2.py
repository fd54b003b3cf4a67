# ATSS on a MobileNetV2 pre-trained on ImageNet and a plain feature pyramid, whose levels begin at
# stride 4. Its anchors are 16 to 128 pixels large.
_base_ = ['./atss.py']

model = dict(
    backbone=dict(
        _delete_=True, type='MobileNetV2', out_indices=(1, 2, 4, 6),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')),
    neck=dict(
        _delete_=True, type='FPN', in_channels=[24, 32, 96, 320], out_channels=64, num_outs=4),
    bbox_head=dict(anchor_generator=dict(strides=[4, 8, 16, 32])))
find_unused_parameters = True

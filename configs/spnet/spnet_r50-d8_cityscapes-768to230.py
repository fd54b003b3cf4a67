# SPNet in the paper's setting (Table 2): Cityscapes, ResNet-50, crops of 768x768 -> 230x230
# (scale 0.3). The auxiliary head, the data and the schedule are mmseg's, but for the crop.
_base_ = [
    'mmseg::_base_/models/pspnet_r50-d8.py', '../_base_/datasets/paper/cityscapes_768x768.py',
    'mmseg::_base_/default_runtime.py', 'mmseg::_base_/schedules/schedule_40k.py'
]

# Also at the top level, as mmseg's own configs have it: test-time augmentation reads it there.
data_preprocessor = dict(
    type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.3, size=_base_.crop_size,
    resizer=dict(type='DownsizeNet'))
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='dsnet_mm.SPNetResNet',
        stem_channels=64,  # SPNet's stem has 128, but mmseg's pre-trained one 64
        multi_grid=(4, 8, 16)),
    decode_head=dict(
        _delete_=True, type='dsnet_mm.SPNetHead', num_classes=19, norm_cfg=norm_cfg,
        align_corners=True),
    auxiliary_head=dict(align_corners=True))

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.))))

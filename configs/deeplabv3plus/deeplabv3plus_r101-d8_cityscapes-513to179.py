# DeepLabv3+ in the paper's setting (Table 2): Cityscapes, ResNet-101, crops of 513x513 -> 179x179
# (scale 0.35). All but the crop and the resizer is mmseg's.
_base_ = [
    'mmseg::_base_/models/deeplabv3plus_r50-d8.py',
    '../_base_/datasets/paper/cityscapes_513x513.py',
    'mmseg::_base_/default_runtime.py', 'mmseg::_base_/schedules/schedule_40k.py'
]

# Also at the top level, as mmseg's own configs have it: test-time augmentation reads it there.
data_preprocessor = dict(
    type='dsnet_mm.DownsizeSegDataPreProcessor', scale=0.35, size=_base_.crop_size,
    resizer=dict(type='DownsizeNet'))
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101))

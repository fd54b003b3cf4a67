# 5.6 G multiply-adds for 176x176 pixels; a resizer adds a few percent.
_base_ = ['./unet-wide_drive.py']

model = dict(
    backbone=dict(base_channels=36), decode_head=dict(in_channels=36, channels=36))

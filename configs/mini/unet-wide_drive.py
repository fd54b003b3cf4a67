# 2.5 G multiply-adds for 176x176 pixels, as heavy as the lighter of the paper's models.
_base_ = ['./unet_drive.py']

model = dict(
    backbone=dict(base_channels=24), decode_head=dict(in_channels=24, channels=24))

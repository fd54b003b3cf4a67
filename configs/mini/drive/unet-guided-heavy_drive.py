# mmseg's U-Net at its own width, 18 G multiply-adds for 176x176 pixels.
_base_ = ['./unet-guided_drive.py']

model = dict(
    backbone=dict(base_channels=64), decode_head=dict(head=dict(in_channels=64, channels=64)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=300, val_interval=300)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=300, eta_min=1e-6),
]
default_hooks = dict(checkpoint=dict(interval=100))

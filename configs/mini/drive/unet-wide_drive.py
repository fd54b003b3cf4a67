# 2.5 G multiply-adds for 176x176 pixels, as heavy as the lighter of the paper's models.
_base_ = ['./unet_drive.py']

model = dict(
    backbone=dict(base_channels=24), decode_head=dict(in_channels=24, channels=24))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=400, eta_min=1e-6),
]

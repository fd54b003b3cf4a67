# Table 3, first half: DownsizeNet trained with DeepLabv3+ for 300 epochs, at scale 0.3.
# Checkpoints of 100, 200 and 300 epochs are kept; an epoch is 2975 images in batches of 8.
_base_ = ['../deeplabv3plus/deeplabv3plus_r101-d8_cityscapes-513to179.py']

data_preprocessor = dict(scale=0.3)
model = dict(data_preprocessor=data_preprocessor)

hundred_epochs = 37200
train_cfg = dict(max_iters=3 * hundred_epochs, val_interval=hundred_epochs)
default_hooks = dict(checkpoint=dict(interval=hundred_epochs))
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=3 * hundred_epochs, by_epoch=False)
]

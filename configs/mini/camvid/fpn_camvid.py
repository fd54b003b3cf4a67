_base_ = ['../_base_/segmenters/fpn.py', '../../_base_/datasets/camvid.py']

model = dict(decode_head=dict(num_classes=11))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=3)

_base_ = ['../_base_/segmenters/deeplabv3plus.py', '../../_base_/datasets/camvid.py']

model = dict(decode_head=dict(num_classes=11), auxiliary_head=dict(num_classes=11))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=4)

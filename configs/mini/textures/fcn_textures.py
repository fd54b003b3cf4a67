_base_ = ['../_base_/segmenters/fcn.py', '../../_base_/datasets/synthetic/textures_labels.py']

model = dict(decode_head=dict(num_classes=6))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=2)

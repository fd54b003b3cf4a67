_base_ = ['../_base_/segmenters/spnet.py', '../../_base_/datasets/synthetic/textures_labels.py']

model = dict(decode_head=dict(num_classes=6), auxiliary_head=dict(num_classes=6))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=2)

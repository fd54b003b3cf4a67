_base_ = ['../_base_/detectors/atss-mobilenetv2.py', '../../_base_/datasets/fod.py']

model = dict(
    data_preprocessor=dict(target_size=(96, 96)), bbox_head=dict(num_classes=31))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=4)

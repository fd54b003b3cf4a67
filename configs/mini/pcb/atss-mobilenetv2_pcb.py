_base_ = ['../_base_/detectors/atss-mobilenetv2.py', '../../_base_/datasets/pcb.py']

model = dict(
    data_preprocessor=dict(target_size=(192, 192)), bbox_head=dict(num_classes=6))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=8)

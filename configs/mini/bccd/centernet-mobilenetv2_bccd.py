_base_ = ['../_base_/detectors/centernet-mobilenetv2.py', '../../_base_/datasets/bccd.py']

model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=4)

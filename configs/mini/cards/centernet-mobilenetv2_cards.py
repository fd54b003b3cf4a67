_base_ = ['../_base_/detectors/centernet-mobilenetv2.py', '../../_base_/datasets/cards.py']

model = dict(bbox_head=dict(num_classes=6))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=4)

_base_ = ['../_base_/detectors/lighthead.py', '../../_base_/datasets/cards.py']

model = dict(roi_head=dict(bbox_head=dict(num_classes=6)))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=6)

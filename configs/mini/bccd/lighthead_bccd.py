_base_ = ['../_base_/detectors/lighthead.py', '../../_base_/datasets/bccd.py']

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=6)

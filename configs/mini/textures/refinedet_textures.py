_base_ = ['../_base_/detectors/refinedet.py', '../../_base_/datasets/synthetic/textures_boxes.py']

model = dict(bbox_head=dict(num_classes=5))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=2)

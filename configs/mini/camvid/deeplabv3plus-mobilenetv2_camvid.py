_base_ = ['../_base_/segmenters/deeplabv3plus-mobilenetv2.py', '../../_base_/datasets/camvid.py']

model = dict(
    decode_head=dict(num_classes=11, loss_decode=dict(class_weight={{_base_.class_weight}})))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=24, val_interval=4)

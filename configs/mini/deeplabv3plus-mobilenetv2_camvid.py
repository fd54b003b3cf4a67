_base_ = ['_base_/deeplabv3plus-mobilenetv2.py', '_base_/camvid.py']

# 1 / log(1.02 + frequency), mean 1, frequencies of the training pixels: without weights, poles,
# signs, pedestrians and bicyclists are not learned.
class_weight = [0.269, 0.206, 1.610, 0.160, 0.743, 0.419, 1.513, 1.535, 0.615, 1.823, 2.106]
model = dict(decode_head=dict(num_classes=11, loss_decode=dict(class_weight=class_weight)))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=24, val_interval=4)

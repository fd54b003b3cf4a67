# FCN-8s in the paper's setting (Table 2): VOC2012Seg, VGG16, images of any size -> 100x100.
# The optimiser is that of FCN's own paper (Section 4.3): fixed 1e-4, biases twice as fast.
_base_ = [
    '../_base_/models/fcn8s_vgg16.py', 'mmseg::_base_/datasets/pascal_voc12.py',
    '../_base_/datasets/own_size.py', 'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py'
]

# Also at the top level, as mmseg's own configs have it: test-time augmentation reads it there.
data_preprocessor = _base_.model.data_preprocessor

# Every image is resized from its own size.
train_pipeline = _base_.train_own_size
test_pipeline = _base_.test_own_size
train_dataloader = dict(batch_size=20, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(bias_lr_mult=2.))
param_scheduler = []

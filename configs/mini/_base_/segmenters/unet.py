# mmseg's U-Net with four stages, 1.1 G multiply-adds for 176x176 pixels. Its labels keep the
# input image's size, to which mmseg enlarges the logits.
_base_ = ['./segmentation.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(
        scale=0.3,
        resize_gt_sem_seg=False,
        # Three of the stages halve the map.
        test_cfg=dict(size_divisor=8)),
    backbone=dict(
        type='UNet', base_channels=16, num_stages=4, strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2), dec_num_convs=(2, 2, 2), downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1), dec_dilations=(1, 1, 1), norm_cfg=norm_cfg, norm_eval=False),
    decode_head=dict(
        type='FCNHead', in_channels=16, in_index=3, channels=16, num_convs=0, concat_input=False,
        dropout_ratio=0, num_classes=2, norm_cfg=norm_cfg, align_corners=False,
        # With mmseg's own, 0.01, vessels are not found within 600 iterations.
        init_cfg=dict(type='Normal', std=0.15, override=dict(name='conv_seg')),
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=1.0),
            # Of the second class alone: over both, a model that never predicts it scores well.
            dict(type='DiceLoss', loss_name='loss_dice', loss_weight=1.0, use_sigmoid=False,
                 naive_dice=True, ignore_index=0)]))

optim_wrapper = dict(
    optimizer=dict(lr=3e-3, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys=dict(data_preprocessor=dict(decay_mult=0.))),
    clip_grad=dict(max_norm=5))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=600, eta_min=1e-6),
]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=200))
log_processor = dict(by_epoch=False)

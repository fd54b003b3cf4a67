# mmseg's U-Net with four stages, 1.1 G multiply-adds for 176x176 pixels. It learns from labels at
# high resolution, to which mmseg enlarges its logits.
_base_ = ['mmseg::_base_/default_runtime.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeSegDataPreProcessor',
        scale=0.3,
        resize_gt_sem_seg=False,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1,
        # Three times a stage halves the map.
        test_cfg=dict(size_divisor=8)),
    backbone=dict(
        type='UNet', base_channels=16, num_stages=4, strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2), dec_num_convs=(2, 2, 2), downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1), dec_dilations=(1, 1, 1), norm_cfg=norm_cfg, norm_eval=False),
    decode_head=dict(
        type='FCNHead', in_channels=16, in_index=3, channels=16, num_convs=0, concat_input=False,
        dropout_ratio=0, num_classes=2, norm_cfg=norm_cfg, align_corners=False,
        # mmseg's own, 0.01, starts so small that vessels are not found within 600 iterations.
        init_cfg=dict(type='Normal', std=0.15, override=dict(name='conv_seg')),
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=1.0),
            # Of the second class alone: over both, predicting it nowhere is nearly perfect.
            dict(type='DiceLoss', loss_name='loss_dice', loss_weight=1.0, use_sigmoid=False,
                 naive_dice=True, ignore_index=0)]),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys=dict(data_preprocessor=dict(decay_mult=0.))),
    clip_grad=dict(max_norm=5))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=600, eta_min=1e-6),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=200, max_keep_ckpts=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)

# mmdet's CenterNet on ResNet-18 with deformable convolutions, 160x160.
_base_ = ['./det_preprocessor.py']

model = dict(
    type='CenterNet',
    data_preprocessor=dict(target_size=(160, 160), resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='ResNet', depth=18, norm_eval=False, norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(
        type='CTResNetNeck', in_channels=512, num_deconv_filters=(256, 128, 64),
        num_deconv_kernels=(4, 4, 4), use_dcn=True),
    bbox_head=dict(
        type='CenterNetHead', num_classes=20, in_channels=64, feat_channels=64,
        loss_center_heatmap=dict(type='GaussianFocalLoss', loss_weight=1.0),
        loss_wh=dict(type='L1Loss', loss_weight=0.1),
        loss_offset=dict(type='L1Loss', loss_weight=1.0)),
    train_cfg=None,
    test_cfg=dict(topk=100, local_maximum_kernel=3, max_per_img=100))

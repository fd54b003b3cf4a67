# A segmenter on a MobileNetV2 pre-trained on ImageNet, dilated in its last stage (stride 16).
_base_ = ['./segmentation.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(scale=0.3),
    backbone=dict(
        type='MobileNetV2', strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6), norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='mmcls://mobilenet_v2')),
    decode_head=dict(
        channels=64, dropout_ratio=0.1, num_classes=2, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='dsnet_mm.ClassWeightedCrossEntropyLoss', class_weight=[1, 1])))
optim_wrapper = dict(optimizer=dict(lr=1e-3))

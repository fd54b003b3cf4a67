# DETR with every module of the paper's (ResNet, encoder, decoder, Hungarian matching), a quarter as
# wide, two layers each instead of six, 20 queries.
_base_ = ['../../../_base_/models/det_preprocessor.py', './detection.py']

attention = dict(embed_dims=64, num_heads=4, dropout=0.0, batch_first=True)
ffn = dict(
    embed_dims=64, feedforward_channels=256, num_fcs=2, ffn_drop=0.0,
    act_cfg=dict(type='ReLU', inplace=True))
model = dict(
    type='DETR',
    num_queries=20,
    data_preprocessor=dict(target_size=(165, 165), resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='ResNet', depth=18, stem_channels=16, base_channels=16, num_stages=4,
        out_indices=(3, ), norm_eval=False, norm_cfg=dict(type='BN')),
    neck=dict(
        type='ChannelMapper', in_channels=[128], kernel_size=1, out_channels=64, act_cfg=None,
        norm_cfg=None, num_outs=1),
    encoder=dict(num_layers=2, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
    decoder=dict(
        num_layers=2,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
        return_intermediate=True),
    positional_encoding=dict(num_feats=32, normalize=True),
    bbox_head=dict(
        type='DETRHead', num_classes=1, embed_dims=64,
        loss_cls=dict(
            type='CrossEntropyLoss', bg_cls_weight=0.1, use_sigmoid=False, loss_weight=1.0,
            class_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0)),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ])),
    test_cfg=dict(max_per_img=20))

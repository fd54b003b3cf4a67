# Light-Head R-CNN with every module of the paper's, an eighth as wide and with fewer proposals.
# From random weights VGG needs normalisation, and the separable convolution larger weights.
_base_ = ['../../../_base_/models/lighthead_vgg16.py', './detection.py']

model = dict(
    backbone=dict(base_channels=8, with_bn=True, init_cfg=None),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(
            in_channels=64, mid_channels=16, init_cfg=dict(type='Xavier', layer='Conv2d')),
        bbox_head=dict(num_hard=128, fc_out_channels=256)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=2000, max_per_img=300)),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=200)))

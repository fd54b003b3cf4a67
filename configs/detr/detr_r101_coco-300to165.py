# DETR in the paper's setting (Table 1): COCO, ResNet-101, 300x300 -> 165x165. All but the
# image size, the depth and the resizer is mmdet's.
_base_ = ['mmdet::detr/detr_r50_8xb2-150e_coco.py', '../_base_/datasets/300x300.py']

model = dict(
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(165, 165),
        resizer=dict(type='DownsizeNet')),
    backbone=dict(
        depth=101, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101')))

train_pipeline = _base_.train_300x300
test_pipeline = _base_.test_300x300
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

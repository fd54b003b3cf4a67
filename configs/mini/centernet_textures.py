_base_ = ['_base_/centernet.py', '_base_/voc.py']

data_root = 'data/textures/'
metainfo = dict(classes=('brick', 'grass', 'gravel', 'tissue', 'print'))

model = dict(bbox_head=dict(num_classes=5))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=8)

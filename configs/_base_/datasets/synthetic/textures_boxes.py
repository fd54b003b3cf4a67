# The built-in data set (tools/datasets/make_dataset.py) with its boxes.
_base_ = ['../boxes.py']

data_root = 'data/textures/'
metainfo = dict(classes=('brick', 'grass', 'gravel', 'tissue', 'print'))

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

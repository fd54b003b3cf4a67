# Playing cards: 236 images to train on, 60 to validate.
_base_ = ['./boxes.py']

data_root = '{{$DSNET_MM_DATA:data}}/cards/'
metainfo = dict(classes=('nine', 'ten', 'jack', 'queen', 'king', 'ace'))

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

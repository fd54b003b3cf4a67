# The built-in data set (tools/datasets/make_dataset.py) with its label maps.
_base_ = ['../labels.py']

data_root = 'data/textures/'
metainfo = dict(
    classes=('background', 'brick', 'grass', 'gravel', 'tissue', 'print'),
    palette=[[0, 0, 0], [200, 80, 50], [60, 180, 60], [140, 140, 140], [220, 120, 200],
             [70, 110, 220]])
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')

train_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo, data_prefix=data_prefix,
        ann_file='ImageSets/Main/train.txt'))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo, data_prefix=data_prefix,
        ann_file='ImageSets/Main/val.txt'))
test_dataloader = val_dataloader

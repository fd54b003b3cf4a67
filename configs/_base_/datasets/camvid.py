# Street scenes, 480x360: 367 images to train on, 101 to validate.
_base_ = ['./labels.py']

data_root = '{{$DSNET_MM_DATA:data}}/camvid/'
metainfo = dict(
    classes=('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car',
             'Pedestrian', 'Bicyclist'),
    palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192],
             [128, 128, 0], [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0],
             [0, 128, 192]])
# For a head's loss: 1 / log(1.02 + the class's share of the training pixels), scaled to mean 1.
# Without them small classes (poles, signs, pedestrians, bicyclists) are not learned within minutes.
class_weight = [0.269, 0.206, 1.610, 0.160, 0.743, 0.419, 1.513, 1.535, 0.615, 1.823, 2.106]

train_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo,
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train')))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
test_dataloader = val_dataloader

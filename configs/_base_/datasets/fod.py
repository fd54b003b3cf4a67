# Debris on runways, 300x300, of 31 kinds, most of them 40 to 130 pixels long: 2,000 images to train
# on, 800 to validate.
_base_ = ['./boxes.py']

data_root = '{{$DSNET_MM_DATA:data}}/fod/'
metainfo = dict(
    classes=('AdjustableClamp', 'AdjustableWrench', 'Battery', 'Bolt', 'BoltNutSet', 'BoltWasher',
             'ClampPart', 'Cutter', 'FuelCap', 'Hammer', 'Hose', 'Label', 'LuggagePart',
             'LuggageTag', 'MetalPart', 'MetalSheet', 'Nail', 'Nut', 'PaintChip', 'Pen',
             'PlasticPart', 'Pliers', 'Rock', 'Screw', 'Screwdriver', 'SodaCan', 'Tape', 'Washer',
             'Wire', 'Wood', 'Wrench'))

train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

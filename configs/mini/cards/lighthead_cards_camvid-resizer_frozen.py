# A small Table 3 and Figure 5: Light-Head R-CNN on cards behind the frozen resizer that was trained
# by deeplabv3plus_camvid.py (20 epochs, scale 0.35).
_base_ = ['./lighthead_cards.py']

model = dict(
    data_preprocessor=dict(
        short_edge=None,
        scale=0.35,
        freeze=True,
        resizer=dict(
            init_cfg=dict(
                type='Pretrained', checkpoint='work_dirs/deeplabv3plus_camvid/epoch_20.pth',
                prefix='data_preprocessor.resizer.'))))

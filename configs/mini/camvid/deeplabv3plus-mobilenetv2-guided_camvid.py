# Logits at a quarter of the resized image's sides return to the input image's size by guided
# upsampling.
# They are enlarged 13 times: texture is read from an image four times as large as they are, so that
# the guide's 5x5 pixels reach from one to the next.
_base_ = ['./deeplabv3plus-mobilenetv2_camvid.py']

model = dict(
    data_preprocessor=dict(resize_gt_sem_seg=False),
    decode_head=dict(
        _delete_=True, type='dsnet_mm.GuidedHead', head={{_base_.model.decode_head}},
        upsampling=dict(density=4, channels=16)))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(upsampling=dict(lr_mult=10., decay_mult=0.))))

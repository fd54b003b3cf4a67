# Guided upsampling of the logits, which have stride 4 in the resized image, to the input image, 13
# times as large. Texture is read from an image four times as large as the logits (density=4), so
# that its 5x5 pixels reach from one logit to the next.
_base_ = ['./deeplabv3plus-mobilenetv2_camvid.py']

model = dict(
    data_preprocessor=dict(resize_gt_sem_seg=False),
    decode_head=dict(
        _delete_=True, type='dsnet_mm.GuidedHead', head={{_base_.model.decode_head}},
        upsampling=dict(density=4, channels=16)))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(upsampling=dict(lr_mult=10., decay_mult=0.))))

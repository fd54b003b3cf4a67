# Guided upsampling of the logits to the input image's size.
_base_ = ['./unet_drive.py']

model = dict(decode_head=dict(
    _delete_=True, type='dsnet_mm.GuidedHead', head={{_base_.model.decode_head}}))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(upsampling=dict(decay_mult=0.))))

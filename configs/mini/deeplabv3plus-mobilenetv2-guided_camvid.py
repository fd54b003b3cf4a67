# Small logits, a quarter of the shrunk image, return to full size by the large image's guidance.
_base_ = ['./deeplabv3plus-mobilenetv2_camvid.py']

model = dict(
    data_preprocessor=dict(resize_gt_sem_seg=False),
    decode_head=dict(
        _delete_=True, type='dsnet_mm.GuidedHead', head={{_base_.model.decode_head}}))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(upsampling=dict(lr_mult=3., decay_mult=0.))))

# FCN-8s on VGG16, 100x100.
_base_ = ['./encoder_decoder.py']

model = dict(
    data_preprocessor=dict(target_size=(100, 100), resizer=dict(type='DownsizeNet')),
    backbone=dict(
        type='dsnet_mm.FCNVGG',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16')),
    decode_head=dict(
        type='dsnet_mm.FCN8sHead', num_classes=21, pretrained='torchvision://vgg16',
        # The authors' scales are for images of 0 to 255. Here images, and so maps, are divided by a
        # standard deviation of about 58.
        skip_scales=(0.0058, 0.58)))

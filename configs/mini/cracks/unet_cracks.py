# 0.2 G multiply-adds for 72x72 pixels.
_base_ = ['../_base_/segmenters/unet.py', '../../_base_/datasets/synthetic/cracks.py']

_base_ = ['../_base_/segmenters/unet.py', '../../_base_/datasets/drive.py']

_base_ = ['_base_/unet.py', '_base_/drive.py']

_base_ = ['_base_/unet.py', '../_base_/datasets/drive.py']

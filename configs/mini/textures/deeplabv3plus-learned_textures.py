# The decoder upsamples by learned interpolation.
_base_ = ['./deeplabv3plus_textures.py']

model = dict(decode_head=dict(type='dsnet_mm.DownsizeSepASPPHead'))

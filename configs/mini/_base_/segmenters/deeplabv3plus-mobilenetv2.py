# DeepLabv3+, its head an eighth as wide as upstream's.
_base_ = ['./segmentation-mobilenetv2.py']

model = dict(
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', in_channels=320, in_index=3, dilations=(1, 3, 6, 9),
        c1_in_channels=24, c1_channels=16))

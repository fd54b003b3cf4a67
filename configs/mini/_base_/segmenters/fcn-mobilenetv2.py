# FCN on the maps of strides 4, 8 and 16, concatenated at stride 4.
_base_ = ['./segmentation-mobilenetv2.py']

model = dict(
    decode_head=dict(
        type='FCNHead', in_channels=(24, 32, 96, 320), in_index=(0, 1, 2, 3),
        input_transform='resize_concat', num_convs=1, concat_input=False))

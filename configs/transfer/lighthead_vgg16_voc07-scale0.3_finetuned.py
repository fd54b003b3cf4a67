# The same with the resizer fine-tuned, together with Light-Head.
_base_ = ['./lighthead_vgg16_voc07-scale0.3_frozen.py']

model = dict(data_preprocessor=dict(freeze=False))

# The same with the resizer fine-tuned, together with Light-Head.
_base_ = ['./lighthead_cards_camvid-resizer_frozen.py']

model = dict(data_preprocessor=dict(freeze=False))

# A segmenter without backbone and heads. Resized images are normalised by the mean and standard
# deviation of ImageNet. Children set the size.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeSegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

# The preprocessor of the detectors: resized images are normalised by the mean and standard
# deviation of ImageNet. Children set the size.
model = dict(
    data_preprocessor=dict(
        type='dsnet_mm.DownsizeDetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True))

# mmseg's Cityscapes with crops of 768x768.
_base_ = ['./cityscapes_513x513.py']

crop_size = (768, 768)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

"""A resizer in front of any mmdet or mmseg model."""

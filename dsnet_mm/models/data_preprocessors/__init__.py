"""Preprocessors with a resizer, for any mmdet or mmseg model."""

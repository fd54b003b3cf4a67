"""Resizers for torchvision: frozen in a pipeline of its transforms, or trained with its models.

``dsnet_mm.transforms.pipeline`` has the transform for OpenMMLab's pipelines.
"""
from dsnet_mm.transforms.detection import DownsizeRCNNTransform
from dsnet_mm.transforms.downsize import Downsize
from dsnet_mm.transforms.segmentation import DownsizeSegmentation

__all__ = ['Downsize', 'DownsizeRCNNTransform', 'DownsizeSegmentation']

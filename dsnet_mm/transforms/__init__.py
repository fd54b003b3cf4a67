"""Resizers for torchvision's models and transforms; for OpenMMLab's see ``pipeline``."""
from dsnet_mm.transforms.detection import DownsizeRCNNTransform
from dsnet_mm.transforms.downsize import Downsize
from dsnet_mm.transforms.segmentation import DownsizeSegmentation

__all__ = ['Downsize', 'DownsizeRCNNTransform', 'DownsizeSegmentation']

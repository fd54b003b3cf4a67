"""Resizers: images to smaller or larger images, in plain PyTorch, for any model."""
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.downsizenet import DownsizeNet
from dsnet_mm.resizers.downsizenet_v2 import DownsizeNetV2
from dsnet_mm.resizers.fixed import FixedResizer
from dsnet_mm.resizers.guided import BilinearUpsampling, GuidedUpsampling
from dsnet_mm.resizers.muller import MULLER
from dsnet_mm.resizers.size import OutputSize
from dsnet_mm.resizers.talebi_milanfar import TalebiMilanfarResizer

__all__ = ['BilinearUpsampling', 'ConvexResizer', 'DownsizeNet', 'DownsizeNetV2', 'FixedResizer',
           'GuidedUpsampling', 'MULLER', 'OutputSize', 'TalebiMilanfarResizer']

"""Resizers: images to smaller or larger images, in plain PyTorch, for any model."""
from dsnet_mm.resizers.baselines.fixed import FixedResizer
from dsnet_mm.resizers.baselines.muller import MULLER
from dsnet_mm.resizers.baselines.space_to_depth import SpaceToDepth
from dsnet_mm.resizers.baselines.talebi_milanfar import TalebiMilanfarResizer
from dsnet_mm.resizers.convex import ConvexResizer
from dsnet_mm.resizers.downsizenet import DownsizeNet
from dsnet_mm.resizers.downsizenet_v2 import DownsizeNetV2
from dsnet_mm.resizers.guided import BilinearUpsampling, GuidedUpsampling
from dsnet_mm.resizers.ops.size import OutputSize

__all__ = ['BilinearUpsampling', 'ConvexResizer', 'DownsizeNet', 'DownsizeNetV2', 'FixedResizer',
           'GuidedUpsampling', 'MULLER', 'OutputSize', 'SpaceToDepth', 'TalebiMilanfarResizer']

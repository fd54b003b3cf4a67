"""Pictures of what a resizer does, during and after training."""
from dsnet_mm.visualization.hook import DownsizeVisualizationHook
from dsnet_mm.visualization.maps import (
    COLORMAPS,
    coefficient_maps,
    image_to_rgb,
    map_to_rgb,
    upsampling_maps,
)

__all__ = ['COLORMAPS', 'DownsizeVisualizationHook', 'coefficient_maps', 'image_to_rgb',
           'map_to_rgb', 'upsampling_maps']

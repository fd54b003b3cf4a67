"""A trained, frozen resizer in the data pipeline of any OpenMMLab model."""
from typing import Any

from dsnet_mm.registry import TRANSFORMS, build_resizer
from dsnet_mm.transforms.frozen import FrozenResizer

import mmengine.registry
import numpy as np
import torch
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class DownsizeResize(BaseTransform):
    """The ``Resize`` of mmdet, mmseg, ... with the image resized by a resizer.

    Change the type, and everything else stays::

        dict(type='dsnet_mm.DownsizeResize', scale=(320, 320), resizer=dict(weights=...))

    Sizes, boxes, masks, label maps and all results are those of the ``Resize`` in the config's
    scope. Images keep their dtype and channel order. In these pipelines that is BGR, as the
    resizer of a preprocessor sees it, which comes before ``bgr_to_rgb``.

    Args:
        resizer (dict, optional): Config of the resizer, as that of a preprocessor. Default
            ``dict(type='FixedResizer', mode='bilinear')``: nothing is trained here.
        **kwargs: Those of ``Resize``, whose ``scale`` is (width, height).

    Raises:
        ValueError: If the resizer is unknown or ``interpolation`` given.
        FileNotFoundError: If there are no such weights.
    """

    def __init__(self, resizer: dict | None = None, **kwargs: Any) -> None:
        if 'interpolation' in kwargs:
            raise ValueError(f'interpolation={kwargs["interpolation"]!r} has no meaning here: the '
                             "resizer resizes the image; use dict(type='Resize') instead, or "
                             "resizer=dict(type='FixedResizer', mode=...)")
        self.resize = mmengine.registry.TRANSFORMS.build(dict(type='Resize', **kwargs))
        net = build_resizer(resizer or dict(type='FixedResizer'))
        self.resizer = FrozenResizer(net, channel_order='bgr')

    @property
    def scale(self) -> tuple[int, int]:
        """Width and height; what varies the size (``RandomResize``) sets it."""
        return self.resize.scale

    @scale.setter
    def scale(self, scale: tuple[int, int]) -> None:
        self.resize.scale = scale

    def transform(self, results: dict) -> dict:
        """Resizes what is in the results of a pipeline; ``img`` is (H, W, C) or (H, W)."""
        image = results['img']
        # For the sizes any image will do; OpenCV does not resize all that a network does.
        results = self.resize({**results, 'img': np.zeros(image.shape[:2], np.uint8)})
        results['img'] = self._resize_image(image, results['img_shape'][:2])
        return results

    def _resize_image(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(image))
        channels_first = (pixels[..., None] if image.ndim == 2 else pixels).permute(2, 0, 1)
        resized = self.resizer(channels_first[None], size)[0].permute(1, 2, 0)
        resized = resized[..., 0] if image.ndim == 2 else resized
        return np.ascontiguousarray(resized.numpy())

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.resize}, resizer={self.resizer.resizer})'

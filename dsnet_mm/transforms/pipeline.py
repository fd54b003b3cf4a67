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

    Only the type changes::

        dict(type='dsnet_mm.DownsizeResize', scale=(320, 320), resizer=dict(weights=...))

    Everything but the image is as from the ``Resize`` of the config's scope. Images keep their
    dtype and channel order, which in these pipelines is BGR, as the resizer of a preprocessor sees
    it.

    Args:
        resizer (dict, optional): Config of the resizer, as for a preprocessor. Default
            ``dict(type='FixedResizer', mode='bilinear')``: nothing is trained here.
        **kwargs (Any): Those of ``Resize``, whose ``scale`` is (width, height) in pixels.

    Raises:
        ValueError: If the resizer is unknown or ``interpolation`` given.
        FileNotFoundError: If there are no such weights.
    """

    def __init__(self, resizer: dict | None = None, **kwargs: Any) -> None:
        if 'interpolation' in kwargs:
            raise ValueError(f'interpolation={kwargs["interpolation"]!r} has no effect here, the '
                             "resizer resizes the image: use dict(type='Resize'), or "
                             "resizer=dict(type='FixedResizer', mode=...)")
        self.resize = mmengine.registry.TRANSFORMS.build(dict(type='Resize', **kwargs))
        net = build_resizer(resizer or dict(type='FixedResizer'))
        self.resizer = FrozenResizer(net, channel_order='bgr')

    @property
    def scale(self) -> tuple[int, int]:
        """Width and height in pixels, which mmcv's ``RandomResize`` sets."""
        return self.resize.scale

    @scale.setter
    def scale(self, scale: tuple[int, int]) -> None:
        self.resize.scale = scale

    def transform(self, results: dict) -> dict:
        """Resizes the results of a pipeline, whose ``img`` is (H, W, C) or (H, W)."""
        image = results['img']
        # Resize gets a dummy image: OpenCV does not resize every dtype.
        results = self.resize({**results, 'img': np.zeros(image.shape[:2], np.uint8)})
        pixels = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(image))).permute(2, 0, 1)
        resized = self.resizer(pixels[None], results['img_shape'][:2])[0].permute(1, 2, 0).numpy()
        resized = resized[..., 0] if image.ndim == 2 else resized
        results['img'] = np.ascontiguousarray(resized)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.resize}, resizer={self.resizer.resizer})'

"""From the input image to the input of the model behind the preprocessor, as a traceable function:
the test pipeline's ``Resize``, the resizer, normalisation and padding."""
from collections.abc import Sequence
from typing import Any

from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.runtime.metadata import LAYOUTS, ORDERS
from dsnet_mm.models.data_preprocessors.mixin import DownsizeMixin
from dsnet_mm.resizers.ops.size import Size, size_of

import torch.nn.functional as F
from mmcv import rescale_size
from mmengine.config import Config
from torch import Tensor, nn

# Steps of test pipelines that do not change the image.
_WITHOUT_EFFECT = {'LoadAnnotations', 'LoadPanopticAnnotations', 'PackDetInputs', 'PackSegInputs'}


def test_pipeline(cfg: Config) -> list[dict]:
    """The test pipeline of a config.

    Raises:
        CannotExport: If it has none.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:  # a data set wrapper
        dataset = dataset['dataset']
    if not dataset.get('pipeline'):
        raise CannotExport('a config without test_dataloader.dataset.pipeline', 'add one')
    return dataset['pipeline']


def step_name(step: dict) -> str:
    """The name of the class of a pipeline step, whose type may be a path or the class itself."""
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


class PipelineSteps:
    """The steps of a test pipeline that change the image: ``Resize`` by OpenCV.

    Args:
        pipeline (Sequence[dict]): The config of the test pipeline.

    Raises:
        CannotExport: If another step changes the image.
    """

    def __init__(self, pipeline: Sequence[dict]) -> None:
        self.to_float = False
        self.resizes: list[dict] = []
        for step in pipeline:
            name = step_name(step)
            if name == 'LoadImageFromFile' and step.get('color_type', 'color') == 'color':
                self.to_float = step.get('to_float32', False)
            elif name == 'Resize' and _is_bilinear(step):
                self.resizes.append(step)
            elif name not in _WITHOUT_EFFECT and not (
                    # which pads nothing
                    name == 'RandomCenterCropPad' and step.get('test_mode')
                    and list(step.get('test_pad_mode', ())) == ['size_divisor', 1]):
                raise CannotExport(
                    f'the test pipeline step {dict(step)}',
                    'remove it from test_dataloader.dataset.pipeline, or set it so that it does '
                    'not change the image; Resize with bilinear interpolation is supported')

    @property
    def needs_fixed_size(self) -> bool:
        """Whether the size after some ``Resize`` depends on the image in a way that only a graph
        for images of one size can express."""
        return any(map(_depends_on_image, self.resizes))

    @property
    def has_fixed_output_size(self) -> bool:
        """Whether images of any size have the same size after the last ``Resize``."""
        return bool(self.resizes) and not _depends_on_image(self.resizes[-1])

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), uint8, as the pipeline returns them: (N, 3, h, w), floating-point
        if it loads them so or resizes them."""
        if self.to_float or self.resizes:
            images = images.float()
        for step in self.resizes:
            height, width = images.shape[-2:]
            images = F.interpolate(images, _resize_size(step, height, width), mode='bilinear')
            if not self.to_float:
                images = images.round()
        return images


def _is_bilinear(step: dict) -> bool:
    return (step.get('interpolation', 'bilinear') == 'bilinear'
            and step.get('backend', 'cv2') == 'cv2'
            and not (step.get('scale') is None and step.get('scale_factor') is None))


def _depends_on_image(step: dict) -> bool:
    """Whether the size after a ``Resize`` depends on that of the image."""
    return step.get('keep_ratio', False) or step.get('scale') is None


def _resize_size(step: dict, height: int, width: int) -> Size:
    """Height and width to which mmcv's ``Resize`` resizes an image."""
    scale = step.get('scale')
    if scale is None:
        factor = step['scale_factor']
        x, y = factor if isinstance(factor, (tuple, list)) else (factor, factor)
        scale = rescale_size((width, width), x)[0], rescale_size((height, height), y)[0]
    elif isinstance(scale, int):
        scale = scale, scale
    if step.get('keep_ratio', False):
        scale = rescale_size((width, height), tuple(scale))
    return scale[1], scale[0]


class Preprocessing(nn.Module):
    """The test pipeline and the Downsize preprocessor, whose own forward takes data samples and
    cannot be traced.

    Args:
        preprocessor (DownsizeMixin): The model's.
        steps (PipelineSteps): Of the test pipeline.
        layout (str): ``'nhwc'`` (N, H, W, 3) or ``'nchw'`` (N, 3, H, W).
        channel_order (str): ``'bgr'`` or ``'rgb'``.

    Raises:
        CannotExport: If the preprocessor has no resizer, or layout or order are unknown.
    """

    def __init__(self, preprocessor: nn.Module, steps: PipelineSteps, layout: str = 'nhwc',
                 channel_order: str = 'bgr') -> None:
        super().__init__()
        if not isinstance(preprocessor, DownsizeMixin):
            raise CannotExport(f'a model behind {type(preprocessor).__name__}, which has no '
                               'resizer,', 'add model.data_preprocessor to the config, as in the '
                               'README')
        for name, value, known in (('layout', layout, LAYOUTS),
                                   ('channel_order', channel_order, ORDERS)):
            if value not in known:
                raise CannotExport(f'{name}={value!r}', f'use one of {known}')
        self.preprocessor, self.steps = preprocessor, steps
        self.layout, self.channel_order = layout, channel_order

    def forward(self, images: Tensor) -> Frame:
        """Args:
            images (Tensor): (N, H, W, 3) or (N, 3, H, W), uint8.
        """
        if self.layout == 'nhwc':
            images = images.permute(0, 3, 1, 2)
        if self.channel_order == 'rgb':
            images = images.flip(1)
        loaded = self.steps(images)
        resized, detail = self.preprocessor.resize_with_detail(loaded)
        if self.steps.resizes and not self.steps.to_float:
            resized = resized.clamp(0, 255)  # as the preprocessor does with uint8 images
        batch = self.preprocessor.with_detail(
            normalize_and_pad(self.preprocessor, resized), detail)
        return Frame(batch, size_of(resized), size_of(images), loaded)


def normalize_and_pad(preprocessor: Any, images: Tensor) -> Tensor:
    """Normalises and pads resized images (N, 3, h, w) as the preprocessor does at test time.

    Raises:
        CannotExport: If it pads to a fixed size.
    """
    if any(getattr(preprocessor, name, False)  # the second is that of the original mmseg
           for name in ('_channel_conversion', 'channel_conversion')):
        images = images.flip(1)
    if preprocessor._enable_normalize:
        images = (images - preprocessor.mean) / preprocessor.std
    test_cfg = getattr(preprocessor, 'test_cfg', None) or {}  # of mmseg
    if test_cfg.get('size') is not None:
        raise CannotExport(f'padding to a fixed size, test_cfg={test_cfg},',
                           'set model.data_preprocessor.test_cfg to None or to a size_divisor')
    divisor = test_cfg.get('size_divisor') or getattr(preprocessor, 'pad_size_divisor', None) or 1
    if divisor > 1:
        height, width = images.shape[-2:]
        value = getattr(preprocessor, 'pad_value', getattr(preprocessor, 'pad_val', 0))
        images = F.pad(images, (0, -width % divisor, 0, -height % divisor), value=value)
    return images

"""torchvision's detectors and segmenters behind a resizer of this package, as one ONNX file."""
import warnings
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.compare import Results, compare
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.metadata import Metadata, colours, versions
from dsnet_mm.deploy.session import Session
from dsnet_mm.deploy.translation import to_onnx
from dsnet_mm.files import atomic_write, check_output
from dsnet_mm.transforms import DownsizeRCNNTransform, DownsizeSegmentation

import numpy as np
import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
OPSET = 18


class Detector(nn.Module):
    """A detector of torchvision from one full-size image to boxes.

    Args:
        model (nn.Module): One of ``torchvision.models.detection``.
    """
    task, names = 'detection', ('boxes', 'scores', 'labels')

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.number: int = getattr(model, 'roi_heads', model).detections_per_img
        self.output_size = model.transform.output_size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        [found] = self.model([to_rgb(images)[0]])
        fill = dict(boxes=0, scores=0, labels=-1)
        return tuple(_pad(found[name], self.number, value)[None] for name, value in fill.items())

    def predict(self, image: np.ndarray) -> Results:
        """The model's own predictions for an image (H, W, 3), BGR."""
        [found] = self.model([to_rgb(torch.from_numpy(image)[None])[0]])
        return {name: found[name].numpy() for name in self.names}


def _pad(values: Tensor, number: int, value: int) -> Tensor:
    padding = values.new_full((number, *values.shape[1:]), value)
    return torch.cat([values, padding])[:number]


class Segmenter(nn.Module):
    """A segmenter of torchvision from full-size images to label maps.

    Args:
        model (DownsizeSegmentation): The model.
        mean, std (Sequence[float]): By which images from 0 to 1 are normalised, RGB.
    """
    task, names, number = 'segmentation', ('labels', ), None
    rgb_mean: Tensor
    rgb_std: Tensor

    def __init__(self, model: DownsizeSegmentation, mean: Sequence[float],
                 std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.output_size = model.output_size
        self.register_buffer('rgb_mean', torch.tensor(mean)[:, None, None])
        self.register_buffer('rgb_std', torch.tensor(std)[:, None, None])

    def logits(self, images: Tensor) -> Tensor:
        """(N, classes, H, W) of images (N, H, W, 3), BGR."""
        return self.model((to_rgb(images) - self.rgb_mean) / self.rgb_std)['out']

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.logits(images)
        return (logits.argmax(dim=1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int32), )

    def predict(self, image: np.ndarray) -> Results:
        """The model's own predictions for an image (H, W, 3), BGR."""
        [logits] = self.logits(torch.from_numpy(image)[None])
        return dict(labels=logits.argmax(dim=0).numpy(), scores=logits.numpy())


def to_rgb(images: Tensor) -> Tensor:
    """Images (N, H, W, 3), unsigned 8-bit, BGR, as torchvision's models take them: (N, 3, H, W),
    RGB, from 0 to 1."""
    return images.permute(0, 3, 1, 2).flip(1).float() / 255


@torch.no_grad()
def export(model: nn.Module, out: str | Path, classes: Sequence[str],
           images: Iterable[np.ndarray], mean: Sequence[float] = MEAN,
           std: Sequence[float] = STD) -> Metadata:
    """Writes a model that :class:`~dsnet_mm.deploy.session.Session` calls and ``dsnet-mm predict``
    runs, with images as (N, H, W, 3), unsigned 8-bit, BGR.

    The file of a detector takes one image at a time, of the size of those given here, as PyTorch
    can only record these detectors; that of a segmenter any number, of any size.

    Args:
        model (nn.Module): One of ``torchvision.models.detection`` whose ``transform`` is a
            :class:`~dsnet_mm.transforms.DownsizeRCNNTransform`, or a
            :class:`~dsnet_mm.transforms.DownsizeSegmentation`. It is set to evaluation.
        out (str | Path): The file.
        classes (Sequence[str]): Names by label; of torchvision's models the first is the
            background's.
        images (Iterable[np.ndarray]): To check the file on, (H, W, 3), unsigned 8-bit, BGR.
        mean, std (Sequence[float]): By which a segmenter's images from 0 to 1 are normalised, RGB;
            a detector's transform has its own.

    Returns:
        Metadata: What stands in the file.

    Raises:
        CannotExport: If there is no resizer, the model has masks or key points, or PyTorch cannot
            export it.
        OSError: If the file cannot be written.
        ValueError: If there are no images.
        Disagrees: If onnxruntime finds something else than the model. There is no file then.
    """
    check_output(out)
    images = iter(images)
    try:
        first = next(images)
    except StopIteration:
        raise ValueError('no images to check the file on: give some') from None
    model.eval()
    heads: Any = getattr(model, 'roi_heads', None)
    if heads is not None and (heads.has_mask() or heads.has_keypoint()):
        raise CannotExport(f'{type(model).__name__} with masks or key points',
                           'leave out its mask_head or keypoint_head')
    graph: Detector | Segmenter
    if isinstance(getattr(model, 'transform', None), DownsizeRCNNTransform):
        graph = Detector(model)
    elif isinstance(model, DownsizeSegmentation):
        graph = Segmenter(model, mean, std)
    else:
        raise CannotExport(f'{type(model).__name__} without a resizer', 'put one in front: '
                           'DownsizeRCNNTransform or DownsizeSegmentation of dsnet_mm.transforms')
    graph.eval()
    size = None if graph.task == 'segmentation' else list(first.shape[:2])
    metadata = Metadata(
        task=graph.task, classes=list(classes), palette=colours(len(classes)), layout='nhwc',
        channel_order='bgr', size=size, resized=str(graph.output_size),
        model=type(model).__name__, versions=versions(), boxes=graph.number)
    with atomic_write(out) as unchecked:
        try:
            _write(graph, torch.from_numpy(first)[None], unchecked)
        except Exception as error:  # PyTorch's exporters share no class of errors
            reason = f'{type(error).__name__}: {error}'.strip().split('\n')[0]
            raise CannotExport(f'{type(model).__name__} ({reason})',
                               'docs/deploy.md has those that can be') from error
        _label(unchecked, metadata)
        compare(Session(unchecked), graph.predict, chain([first], images))
    return metadata


def _write(graph: Detector | Segmenter, image: Tensor, file: Path) -> None:
    if isinstance(graph, Detector):  # torch.export does not take its lists of boxes
        torch.onnx.register_custom_op_symbolic('aten::threshold', _threshold, OPSET)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # sizes become constants, as they shall
            torch.onnx.export(graph, (image, ), file, dynamo=False, input_names=['images'],
                              output_names=list(graph.names), opset_version=OPSET)
        return
    axes = dict(enumerate(('batch', 'height', 'width')))
    exported = torch.export.export(
        graph, (image.expand(2, -1, -1, -1), ),
        dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC), ), strict=True)
    to_onnx(exported, graph.names, axes, OPSET).save(file, external_data=False)


def _threshold(graph: Any, values: Any, threshold: Any, value: Any) -> Any:
    """Which the exporter has for a threshold of zero only."""
    return graph.op('Where', graph.op('Greater', values, threshold), values, value)


def _label(file: Path, metadata: Metadata) -> None:
    import onnx
    written = onnx.load(file)
    onnx.helper.set_model_props(written, metadata.to_properties())
    onnx.save(written, file)

"""torchvision's segmenters behind a resizer of this package, as one ONNX file."""
from collections.abc import Iterable, Sequence
from pathlib import Path

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.compare import Results, compare
from dsnet_mm.deploy.export.translation import to_onnx
from dsnet_mm.deploy.runtime.metadata import Metadata, colours, versions
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_output
from dsnet_mm.transforms import DownsizeSegmentation

import numpy as np
import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
OPSET = 18


class TorchvisionSegmenter(nn.Module):
    """A segmenter of torchvision from full-size images to label maps.

    Args:
        model (DownsizeSegmentation): The model.
        mean, std (Sequence[float]): By which images from 0 to 1 are normalised, RGB.
    """
    rgb_mean: Tensor
    rgb_std: Tensor

    def __init__(self, model: DownsizeSegmentation, mean: Sequence[float],
                 std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
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
def export_torchvision(model: nn.Module, out: str | Path, classes: Sequence[str],
                       images: Iterable[np.ndarray], mean: Sequence[float] = MEAN,
                       std: Sequence[float] = STD) -> Metadata:
    """Writes a segmenter that :class:`~dsnet_mm.deploy.runtime.session.Session` calls and
    ``dsnet-mm predict`` runs.

    The file takes any number of images of any size, (N, H, W, 3), unsigned 8-bit, BGR.

    Args:
        model (nn.Module): A :class:`~dsnet_mm.transforms.DownsizeSegmentation`. It is set to
            evaluation.
        out (str | Path): The file.
        classes (Sequence[str]): Names by label.
        images (Iterable[np.ndarray]): To check the file on, (H, W, 3), unsigned 8-bit, BGR.
        mean, std (Sequence[float]): By which images from 0 to 1 are normalised, RGB.

    Returns:
        Metadata: What stands in the file.

    Raises:
        CannotExport: If it is no such model, or PyTorch cannot export it.
        OSError: If the file cannot be written.
        ValueError: If there are no images.
        Disagrees: If onnxruntime finds something else than the model. There is no file then.
    """
    check_output(out)
    images = list(images)
    if not images:
        raise ValueError('no images to check the file on: give some')
    if not isinstance(model, DownsizeSegmentation):
        raise CannotExport(f'{type(model).__name__}, which is no segmenter of torchvision behind a '
                           'resizer,', 'use dsnet_mm.transforms.DownsizeSegmentation')
    graph = TorchvisionSegmenter(model, mean, std).eval()
    metadata = Metadata(
        task='segmentation', classes=list(classes), palette=colours(len(classes)), layout='nhwc',
        channel_order='bgr', size=None, resized=str(model.output_size),
        model=type(model).__name__, versions=versions(), boxes=None)
    with atomic_write(out) as unchecked:
        try:
            _write(graph, torch.from_numpy(images[0])[None], metadata, unchecked)
        except Exception as error:  # PyTorch's exporter raises any class of error
            reason = f'{type(error).__name__}: {error}'.strip().split('\n')[0]
            raise CannotExport(f'{type(model).__name__} ({reason})',
                               'docs/deploy.md has those that can be') from error
        compare(Session(unchecked), graph.predict, images)
    return metadata


def _write(graph: nn.Module, image: Tensor, metadata: Metadata, file: Path) -> None:
    axes = dict(enumerate(('batch', 'height', 'width')))
    exported = torch.export.export(
        graph, (image.expand(2, -1, -1, -1), ),
        dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC), ), strict=True)
    program = to_onnx(exported, ('labels', ), axes, OPSET)
    program.model.metadata_props.update(metadata.to_properties())
    program.save(file, external_data=False)

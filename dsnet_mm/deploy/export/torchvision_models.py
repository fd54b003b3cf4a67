"""torchvision's segmenters behind a resizer, as one ONNX file."""
from collections.abc import Iterable, Sequence
from pathlib import Path

from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.agreement import Outputs, check_agreement
from dsnet_mm.deploy.export.translation import explained, to_onnx
from dsnet_mm.deploy.runtime.metadata import Metadata, colours, versions
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_output
from dsnet_mm.transforms import DownsizeSegmentation

import numpy as np
import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
OPSET = 18


class TorchvisionGraph(nn.Module):
    """A segmenter of torchvision from input images to label maps.

    Args:
        model (DownsizeSegmentation): The model.
        mean, std (Sequence[float]): Normalise images in [0, 1], RGB.
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
        """The logits (N, classes, H, W) of images (N, H, W, 3), uint8, BGR."""
        rgb = images.permute(0, 3, 1, 2).flip(1).float() / 255
        return self.model((rgb - self.rgb_mean) / self.rgb_std)['out']

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.logits(images)
        return (logits.argmax(dim=1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int32), )

    def predict(self, image: np.ndarray) -> Outputs:
        """The model's own predictions for an image (H, W, 3), uint8, BGR."""
        [logits] = self.logits(torch.from_numpy(image)[None])
        return dict(labels=logits.argmax(dim=0).numpy(), scores=logits.numpy())


@torch.no_grad()
def write_torchvision_onnx(model: nn.Module, out: str | Path, classes: Sequence[str],
                           images: Iterable[np.ndarray], mean: Sequence[float] = MEAN,
                           std: Sequence[float] = STD) -> Metadata:
    """Writes the file of a segmenter of torchvision, and checks it.

    The file takes any number of images of any size, (N, H, W, 3), uint8, BGR.

    Args:
        model (nn.Module): A :class:`~dsnet_mm.transforms.DownsizeSegmentation`, which is set to
            evaluation mode.
        out (str | Path): The file.
        classes (Sequence[str]): The name of each label.
        images (Iterable[np.ndarray]): To check the file on, (H, W, 3), uint8, BGR.
        mean, std (Sequence[float]): Normalise images in [0, 1], RGB.

    Returns:
        Metadata: Of the file.

    Raises:
        CannotExport: If it is another model, or PyTorch cannot export it.
        OSError: If the file cannot be written.
        ValueError: If there are no images.
        Disagrees: If the file disagrees with the model. It is not written then.
    """
    check_output(out)
    images = list(images)
    if not images:
        raise ValueError('no images to check the file on: give some')
    if not isinstance(model, DownsizeSegmentation):
        raise CannotExport(f'{type(model).__name__}, which is no segmenter of torchvision behind a '
                           'resizer,', 'use dsnet_mm.transforms.DownsizeSegmentation')
    graph = TorchvisionGraph(model, mean, std).eval()
    metadata = Metadata(
        task='segmentation', classes=list(classes), palette=colours(len(classes)), layout='nhwc',
        channel_order='bgr', size=None, resized=str(model.output_size),
        model=type(model).__name__, versions=versions())
    axes = dict(enumerate(('batch', 'height', 'width')))
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    with explained(metadata.model):
        exported = torch.export.export(
            graph, (torch.from_numpy(images[0])[None].expand(2, -1, -1, -1), ),
            dynamic_shapes=(dynamic, ), strict=True)
        program = to_onnx(exported, ('labels', ), axes, OPSET)
    program.model.metadata_props.update(metadata.to_properties())
    with atomic_write(out) as unchecked:
        program.save(unchecked, external_data=False)
        check_agreement(Session(unchecked), graph.predict, images)
    return metadata

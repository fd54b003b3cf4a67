"""The input of the model behind the preprocessor, with the sizes that lead back to the image."""
from typing import Any, NamedTuple

from dsnet_mm.resizers.ops.size import Size, size_of

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

# DETR reads from it that there is no padding.
_SAMPLE = BaseDataElement(metainfo=dict(img_shape=(1, 1), batch_input_shape=(1, 1)))


class Frame(NamedTuple):
    """A batch of images as the model behind the preprocessor gets it.

    Attributes:
        batch (Tensor): (N, 3, h + padding, w + padding), resized, normalised and padded.
        resized_size (tuple[int, int]): Height and width of the resized images without padding.
        image_size (tuple[int, int]): Height and width of the input images.
        images (Tensor): (N, 3, H, W), the images that the resizer got, uint8 or floating-point.
    """
    batch: Tensor
    resized_size: Size
    image_size: Size
    images: Tensor

    @property
    def padded_size(self) -> Size:
        """Height and width of ``batch``."""
        return size_of(self.batch)

    def to_image(self, boxes: Tensor) -> Tensor:
        """Scales boxes (N, K, 4) from pixels of the resized image to pixels of the input image."""
        (height, width), (h, w) = self.image_size, self.resized_size
        x, y = boxes[..., 0::2] * (width / w), boxes[..., 1::2] * (height / h)
        return torch.stack([x, y], dim=-1).flatten(-2)


def raw_outputs(model: BaseModel, batch: Tensor) -> Any:
    """The model's outputs before decoding, for a batch (N, 3, h, w) without padding."""
    return model(batch, [_SAMPLE], mode='tensor')

"""Resizing of PIL images of any mode."""
from dsnet_mm.resizers.ops.size import Size

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F


def resize_pil(image: Image.Image, size: Size, resizer: nn.Module) -> Image.Image:
    """Resizes a PIL image by a resizer of tensors (1, C, H, W), RGB or gray, that keeps the dtype.

    RGB and gray images (8-bit, 16-bit, integers, floating-point) keep their mode. Images with
    transparency become RGBA, black and white becomes gray, every other mode (palette, CMYK, YCbCr,
    ...) RGB.
    """
    if image.mode in ('I', 'F') or image.mode.startswith('I;16'):
        return _resize_numbers(image, size, resizer)
    if image.has_transparency_data:
        # Premultiplied, as in Pillow's own resize: transparent pixels do not blend in.
        *bands, alpha = image.convert('RGBA').convert('RGBa').split()
        colors = _resize_bytes(Image.merge('RGB', bands), size, resizer)
        alpha = _resize_bytes(alpha, size, resizer)
        return Image.merge('RGBa', (*colors.split(), alpha)).convert('RGBA')
    if image.mode not in ('L', 'RGB'):
        image = image.convert('L' if image.mode == '1' else 'RGB')
    return _resize_bytes(image, size, resizer)


def _resize_bytes(image: Image.Image, size: Size, resizer: nn.Module) -> Image.Image:
    return F.to_pil_image(resizer(F.pil_to_tensor(image)[None], size)[0])


def _resize_numbers(image: Image.Image, size: Size, resizer: nn.Module) -> Image.Image:
    pixels = np.asarray(image)
    resized: Tensor = resizer(torch.from_numpy(pixels.astype(np.float32))[None, None], size)
    numbers = resized[0, 0].numpy()
    if pixels.dtype.kind == 'f':
        return Image.fromarray(numbers)
    limits, native = np.iinfo(pixels.dtype), pixels.dtype.newbyteorder('=')
    return Image.fromarray(np.rint(numbers).clip(limits.min, limits.max).astype(native))

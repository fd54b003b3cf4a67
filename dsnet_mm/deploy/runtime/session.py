"""Calling an exported file with onnxruntime."""
from pathlib import Path
from typing import Any

from dsnet_mm.deploy.runtime.metadata import Metadata

import numpy as np
import onnxruntime


class Session:
    """An exported file as a function of one image.

    Args:
        file (str | Path): Written by "dsnet-mm export deploy" or "dsnet-mm quantize".
        threads (int): Of onnxruntime; 0 for one per core.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX file, or has no metadata of this package.
    """

    def __init__(self, file: str | Path, threads: int = 0) -> None:
        if not Path(file).is_file():
            raise FileNotFoundError(f'there is no file {file}')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(file), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime's errors share no base class
            raise ValueError(f'{file} cannot be loaded: {error}. Give an ONNX file written by '
                             '"dsnet-mm export deploy"') from error
        try:
            self.metadata = Metadata.from_properties(
                self.session.get_modelmeta().custom_metadata_map)
        except ValueError as error:
            raise ValueError(f'{file} cannot be used: {error}') from error
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Predicts for one image.

        Args:
            image (np.ndarray): (H, W, 3), uint8, BGR, as OpenCV reads it.

        Returns:
            dict[str, np.ndarray]: Of a detector, ``boxes`` (K, 4), x1, y1, x2, y2 in pixels of the
            image, ``scores`` (K, ) and ``labels`` (K, ), by falling score; of a segmenter,
            ``labels`` (H, W) and, if it was exported with them, ``scores`` (classes, h, w).

        Raises:
            ValueError: If the image has the wrong type, shape or size.
        """
        outputs = dict(zip(self.names, self.run(self.arrange(image))))
        outputs = {name: value[0] for name, value in outputs.items()}
        if self.metadata.task == 'detection':  # the rest is padding
            found = outputs['labels'] >= 0
            outputs = {name: value[found] for name, value in outputs.items()}
        return outputs

    def run(self, images: np.ndarray) -> list[Any]:
        """The file's outputs for a batch of images in its layout and channel order."""
        return self.session.run(self.names, {'images': images})

    def arrange(self, image: np.ndarray) -> np.ndarray:
        """An image (H, W, 3), uint8, BGR, as a batch of one in the file's layout and order.

        Raises:
            ValueError: If it has the wrong type, shape or size.
        """
        meta = self.metadata
        if not isinstance(image, np.ndarray):
            raise ValueError(f'an image must be an array, got {type(image).__name__}')
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError('an image must be (H, W, 3) of type uint8, got '
                             f'{image.shape} of {image.dtype}')
        if meta.size is not None and list(image.shape[:2]) != list(meta.size):
            raise ValueError('this file takes images of {}x{} pixels (height x width), got {}x{}: '
                             'resize them, or export without --size'.format(
                                 *meta.size, *image.shape[:2]))
        if meta.channel_order == 'rgb':
            image = image[..., ::-1]
        if meta.layout == 'nchw':
            image = image.transpose(2, 0, 1)
        return np.ascontiguousarray(image[None])

"""The metadata of an exported file: JSON under one key of ONNX's metadata."""
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

KEY = 'dsnet_mm'
TASKS = ('detection', 'segmentation')
LAYOUTS = ('nhwc', 'nchw')
ORDERS = ('bgr', 'rgb')
PRECISIONS = ('float32', 'float16', 'int8')


@dataclass(frozen=True)
class Metadata:
    """What a program must know to call a file and to interpret its outputs.

    Attributes:
        task (str): ``'detection'`` or ``'segmentation'``.
        classes (list[str]): The name of each label.
        palette (list[list[int]]): The colour of each label, RGB.
        layout (str): Of the input images: ``'nhwc'`` (N, H, W, 3) or ``'nchw'`` (N, 3, H, W).
        channel_order (str): Of the input images: ``'bgr'`` or ``'rgb'``.
        size (list[int], optional): Height and width in pixels of every input image; None if the
            file takes images of any size.
        resized (str): The rule for the size of the resized image, as in ``scale=0.3``.
        model (str): The class of the model.
        versions (dict[str, str]): Of the packages that wrote the file.
        precision (str): Of the model behind the resizer: ``'float32'``, ``'float16'`` or
            ``'int8'``.
        boxes (int, optional): The largest number of boxes that a detector returns.
    """
    task: str
    classes: list[str]
    palette: list[list[int]]
    layout: str
    channel_order: str
    size: list[int] | None
    resized: str
    model: str
    versions: dict[str, str]
    precision: str = 'float32'
    boxes: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (('task', self.task, TASKS), ('layout', self.layout, LAYOUTS),
                                   ('channel_order', self.channel_order, ORDERS),
                                   ('precision', self.precision, PRECISIONS)):
            if value not in known:
                raise ValueError(f'{name}={value!r}: use one of {known}')
        if len(self.palette) < len(self.classes):
            raise ValueError(f'{len(self.palette)} colours for {len(self.classes)} classes: give '
                             'one for each class')

    def to_properties(self) -> dict[str, str]:
        """The entries of ONNX's metadata."""
        return {KEY: json.dumps(asdict(self))}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> 'Metadata':
        """Reads the entries of ONNX's metadata.

        Raises:
            ValueError: If the key is missing, or its value cannot be read.
        """
        if KEY not in properties:
            raise ValueError(f'it has no metadata {KEY!r}: write it with "dsnet-mm export '
                             'deploy"')
        try:
            fields: dict[str, Any] = json.loads(properties[KEY])
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f'its metadata {KEY!r} cannot be read ({error}): export it again with '
                             '"dsnet-mm export deploy"') from error


def colours(number: int) -> list[list[int]]:
    """The first colours of PASCAL VOC's palette, RGB."""
    return [_colour(label) for label in range(number)]


def _colour(label: int) -> list[int]:
    colour, number = [0, 0, 0], label + 1
    for bit in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= (number >> channel & 1) << bit
        number >>= 3
    return colour


def versions() -> dict[str, str]:
    """The versions of the packages that write files."""
    import dsnet_mm
    found = {'dsnet_mm': dsnet_mm.__version__}
    for name in ('torch', 'torchvision', 'onnxruntime', 'onnx', 'onnxscript'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # installed under another name, as onnxruntime-gpu
            continue
    return found

"""Writing a whole model as one ONNX file, which is kept only if it agrees with the model."""
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsnet_mm.config import resolve, scope_of
from dsnet_mm.deploy.decoders import suppression
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export.graph import Graph
from dsnet_mm.deploy.export.precision import to_half
from dsnet_mm.deploy.export.preprocessing import test_pipeline
from dsnet_mm.deploy.export.reference import check_against_model
from dsnet_mm.deploy.export.translation import explained, to_onnx
from dsnet_mm.deploy.runtime.metadata import Metadata, colours, versions
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_output

import numpy as np
import onnx
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

OPSET = 20  # deformable convolution needs 19


def write_onnx(graph: Graph, cfg: Config, out: Path, images: Iterable[np.ndarray],
               size: tuple[int, int] | None = None, opset: int = OPSET,
               dataset_meta: dict | None = None, half: bool = False) -> Metadata:
    """Writes the file of a model, and checks it.

    Args:
        graph (Graph): Of :func:`~dsnet_mm.deploy.export.graph.build_graph`.
        cfg (Config): The model's.
        out (Path): The ONNX file.
        images (Iterable[np.ndarray]): To check it on, (H, W, 3), uint8, BGR.
        size (tuple[int, int], optional): Height and width of every input image. Default: the file
            takes images of any size.
        opset (int): Of ONNX, 18 or newer.
        dataset_meta (dict, optional): ``classes`` and ``palette`` as checkpoints store them.
            Default: those of the config's test data set.
        half (bool): The model behind the resizer computes in float16.

    Returns:
        Metadata: Of the file.

    Raises:
        CannotExport: If a size or class names must be given, or PyTorch cannot export the model.
        OSError: If the file cannot be written, or an image cannot be read.
        Disagrees: If the file disagrees with the model. It is not written then.
    """
    if opset < 18:
        raise CannotExport(f'opset {opset}', 'use 18 or newer')
    check_output(out)
    metadata = describe(graph, cfg, size, dataset_meta)
    if half:
        metadata = replace(metadata, precision='float16')
    with explained(metadata.model):
        program = to_onnx(trace(graph, size), graph.names, dynamic_axes(metadata.layout, size),
                          opset, suppression.TRANSLATIONS)
    program.model.metadata_props.update(metadata.to_properties())
    with atomic_write(out) as unchecked:
        program.save(unchecked, external_data=False)
        if half:
            model = onnx.load(unchecked)
            to_half(model)
            onnx.save(model, unchecked)
        check_against_model(Session(unchecked), graph.model, cfg, images)
    return metadata


@torch.no_grad()
def trace(graph: Graph, size: tuple[int, int] | None) -> torch.export.ExportedProgram:
    """The graph of ``torch.export``, for any number of images of the given or any size.

    Raises:
        CannotExport: If a size must be given.
    """
    steps, rule = graph.preprocessing.steps, graph.preprocessing.preprocessor.output_size
    short_edge = rule.short_edge is not None and not steps.has_fixed_output_size
    if size is None and (short_edge or steps.needs_fixed_size):
        what = rule if short_edge else steps.resizes
        raise CannotExport(f'{what} for images of any size', 'give the size of the input images '
                           '(--size H W), or set scale or target_size')
    head = getattr(graph, 'guided_head', None)
    if size is None and head is not None and getattr(head.upsampling, 'density', None):
        raise CannotExport(f'{head.upsampling} for images of any size', 'give the size of the '
                           'input images (--size H W), or remove density')
    height, width = size or (200, 240)
    images = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    if graph.preprocessing.layout == 'nchw':
        images = images.permute(0, 3, 1, 2).contiguous()
    axes: dict[int, Any] = dict.fromkeys(dynamic_axes(graph.preprocessing.layout, size),
                                         torch.export.Dim.DYNAMIC)
    graph(images)  # raises errors of its own, which the exporter would hide
    return torch.export.export(graph, (images, ), dynamic_shapes=(axes, ), strict=True)


def dynamic_axes(layout: str, size: Sequence[int] | None) -> dict[int, str]:
    """The names of the axes of the images whose length is not fixed."""
    names = {'nhwc': ('batch', 'height', 'width'), 'nchw': ('batch', '', 'height', 'width')}
    return {axis: name for axis, name in enumerate(names[layout])
            if name == 'batch' or name and size is None}


def describe(graph: Graph, cfg: Config, size: tuple[int, int] | None,
             dataset_meta: dict | None) -> Metadata:
    """The metadata of the file.

    Raises:
        CannotExport: If the names of the classes are unknown.
    """
    meta = dict(dataset_meta or {})
    if not meta.get('classes'):
        meta = _dataset_meta(cfg)
    classes = meta.get('classes')
    if not classes:
        raise CannotExport('a model whose classes have no names',
                           'set test_dataloader.dataset.metainfo=dict(classes=(...))')
    classes = [classes] if isinstance(classes, str) else list(classes)
    palette = meta.get('palette')
    if not isinstance(palette, (list, tuple)) or len(palette) < len(classes):
        palette = colours(len(classes))
    preprocessing = graph.preprocessing
    return Metadata(
        task=graph.task, classes=classes, palette=[list(map(int, each)) for each in palette],
        layout=preprocessing.layout, channel_order=preprocessing.channel_order,
        size=None if size is None else list(size),
        resized=str(preprocessing.preprocessor.output_size),
        model=type(graph.model).__name__, versions=versions(),
        boxes=getattr(graph, 'number', None))


def _dataset_meta(cfg: Config) -> dict:
    """The metainfo of the config's test data set, without loading the data."""
    test_pipeline(cfg)  # raises if there is no test data set
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    kind = resolve(dataset.type, DATASETS, scope_of(cfg))
    return {**getattr(kind, 'METAINFO', BaseDataset.METAINFO), **(dataset.get('metainfo') or {})}

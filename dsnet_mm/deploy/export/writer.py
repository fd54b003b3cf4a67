"""Writing the file: traced, checked against the model's own ``predict``, and only then kept."""
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsnet_mm.config import resolve, scope_of
from dsnet_mm.deploy.decoders import suppression
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.export import adaptive_pooling
from dsnet_mm.deploy.export.check import check
from dsnet_mm.deploy.export.graph import Graph, test_pipeline
from dsnet_mm.deploy.export.half import save_half
from dsnet_mm.deploy.export.translation import to_onnx
from dsnet_mm.deploy.runtime.metadata import Metadata, colours, versions
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.files import atomic_write, check_output

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

OPSET = 20  # deformable convolution came with 19


def export(graph: Graph, cfg: Config, out: Path, images: Iterable[np.ndarray],
           size: tuple[int, int] | None = None, opset: int = OPSET,
           dataset_meta: dict | None = None, half: bool = False) -> Metadata:
    """Writes a graph that agrees with its model.

    Args:
        graph (Graph): Of :func:`~dsnet_mm.deploy.export.graph.build_graph`.
        cfg (Config): The model's.
        out (Path): The ONNX file.
        images (Iterable[np.ndarray]): To check it on, (H, W, 3), unsigned 8-bit, BGR.
        size (tuple[int, int], optional): Height and width of every full-size image; by default the
            file takes any.
        opset (int): Of ONNX, 18 or newer.
        dataset_meta (dict, optional): ``classes`` and ``palette`` as a checkpoint has them; by
            default those of the config's test data set.
        half (bool): The model behind the resizer computes in 16-bit floating-point numbers.

    Returns:
        Metadata: What stands in the file.

    Raises:
        CannotExport: If an open size, a class or a version is missing.
        OSError: If the file cannot be written, or an image not be read.
        Disagrees: If the file finds something else than the model. There is no file then.
    """
    if opset < 18:
        raise CannotExport(f'opset {opset}', 'use 18 or newer')
    check_output(out)
    metadata = describe(graph, cfg, size, dataset_meta)
    if half:
        metadata = replace(metadata, precision='float16')
    program = trace(graph, size)
    with atomic_write(out) as unchecked:
        translate(program, graph, metadata, opset).save(unchecked, external_data=False)
        if half:
            save_half(unchecked, unchecked)
        check(Session(unchecked), graph.model, cfg, images)
    return metadata


@torch.no_grad()
def trace(graph: Graph, size: tuple[int, int] | None) -> torch.export.ExportedProgram:
    """The graph of ``torch.export``; the number of images is open, and so is their size if none is
    given.

    Raises:
        CannotExport: If the size would have to be given, or PyTorch cannot trace the model.
    """
    framing = graph.framing
    rule = framing.preprocessor.output_size
    uneven = rule.short_edge is not None and not framing.steps.fix_size
    if size is None and (uneven or framing.steps.needs_fixed_size):
        what = rule if uneven else framing.steps.resizes
        raise CannotExport(f'{what} for images of any size', 'give the size of the full-size '
                           'images (--size H W), or set scale or target_size')
    head = getattr(graph, 'guided_head', None)
    if size is None and head is not None and getattr(head.upsampling, 'density', None):
        raise CannotExport(f'{head.upsampling} for images of any size', 'give the size of the '
                           'full-size images (--size H W), or leave out density')
    height, width = size or (200, 240)
    images = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    if framing.layout == 'nchw':
        images = images.permute(0, 3, 1, 2).contiguous()
    dynamic: dict[int, Any] = dict.fromkeys(open_axes(framing.layout, size),
                                            torch.export.Dim.DYNAMIC)
    graph(images)  # what is refused is refused here, in its own words
    with explained(graph):
        return torch.export.export(graph, (images, ), dynamic_shapes=(dynamic, ), strict=True)


def translate(program: torch.export.ExportedProgram, graph: Graph, metadata: Metadata,
              opset: int) -> Any:
    """The graph in ONNX.

    Raises:
        CannotExport: If PyTorch cannot translate it.
    """
    axes = open_axes(metadata.layout, metadata.size)
    with explained(graph):
        translated = to_onnx(program, graph.names, axes, opset, custom_translation_table={
            **suppression.TRANSLATIONS, **adaptive_pooling.TRANSLATIONS})
    translated.model.metadata_props.update(metadata.to_properties())
    return translated


def open_axes(layout: str, size: Sequence[int] | None) -> dict[int, str]:
    """The axes of the images that are open, and their names."""
    names = {'nhwc': ('batch', 'height', 'width'), 'nchw': ('batch', '', 'height', 'width')}
    return {axis: name for axis, name in enumerate(names[layout])
            if name == 'batch' or name and size is None}


@contextmanager
def explained(graph: Graph) -> Iterator[None]:
    """Names the model and the reason where PyTorch fails, whose errors share no class."""
    try:
        yield
    except CannotExport:
        raise
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'.strip().split('\n')[0]
        raise CannotExport(f'{type(graph.model).__name__} ({reason})') from error


def describe(graph: Graph, cfg: Config, size: tuple[int, int] | None,
             dataset_meta: dict | None) -> Metadata:
    """Builds the metadata of the file.

    Raises:
        CannotExport: If nobody knows the classes.
    """
    meta = dict(dataset_meta or {})
    if not meta.get('classes'):
        meta = _of_data_set(cfg)
    classes = meta.get('classes')
    if not classes:
        raise CannotExport('a model whose classes have no names',
                           'set test_dataloader.dataset.metainfo=dict(classes=(...))')
    classes = [classes] if isinstance(classes, str) else list(classes)
    palette = meta.get('palette')
    if not isinstance(palette, (list, tuple)) or len(palette) < len(classes):
        palette = colours(len(classes))
    framing = graph.framing
    return Metadata(
        task=graph.task, classes=classes, palette=[list(map(int, each)) for each in palette],
        layout=framing.layout, channel_order=framing.channel_order,
        size=None if size is None else list(size), resized=str(framing.preprocessor.output_size),
        model=type(graph.model).__name__, versions=versions(),
        boxes=getattr(graph, 'number', None))


def _of_data_set(cfg: Config) -> dict:
    """The metainfo of the config's test data set, without loading that."""
    test_pipeline(cfg)  # there is one
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    kind = resolve(dataset.type, DATASETS, scope_of(cfg))
    own = dict(dataset.get('metainfo') or {})
    return {**getattr(kind, 'METAINFO', BaseDataset.METAINFO), **own}

"""The step from an exported graph to ONNX that all exports share."""
from collections.abc import Mapping, Sequence
from typing import Any

from dsnet_mm.deploy.export import small_constants

import torch


def to_onnx(program: torch.export.ExportedProgram, names: Sequence[str], axes: Mapping[int, str],
            opset: int, **options: Any) -> Any:
    """A graph of images in ONNX.

    Args:
        program (torch.export.ExportedProgram): From ``images`` to outputs.
        names (Sequence[str]): Of the outputs.
        axes (Mapping[int, str]): The open axes of the images, and their names.
        opset (int): The version of ONNX's operators.
        options (Any): More arguments of ``torch.onnx.export``.
    """
    small_constants.keep(program)
    translated: Any = torch.onnx.export(
        program, input_names=['images'], output_names=list(names), opset_version=opset,
        verbose=False, **options)
    shape = translated.model.graph.inputs[0].shape
    translated.rename_axes({shape[axis]: name for axis, name in axes.items()})
    return translated

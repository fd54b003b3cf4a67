"""The graph as a package of PyTorch, for where PyTorch runs but OpenMMLab's packages do not."""
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from dsnet_mm.deploy import suppression  # noqa: F401  (its operator is in the detectors' graphs)
from dsnet_mm.deploy.metadata import KEY, Metadata
from dsnet_mm.deploy.session import Session

import numpy as np
import torch

NAMES = {'detection': ('boxes', 'scores', 'labels'), 'segmentation': ('labels', 'scores')}


def save(program: torch.export.ExportedProgram, metadata: Metadata, file: Path) -> None:
    """Writes a package of ``torch.export``, whose name ends with ``.pt2``."""
    torch.export.save(program, file, extra_files=metadata.to_properties())


class Package(Session):
    """A package of :func:`save`, ready to be called as a :class:`~dsnet_mm.deploy.session.Session`.

    Args:
        file (str | Path): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no package, or one without metadata.
    """

    def __init__(self, file: str | Path) -> None:
        if not Path(file).is_file():
            raise FileNotFoundError(f'there is no file {file}')
        properties = {KEY: ''}
        try:
            self.module = torch.export.load(file, extra_files=properties).module()
            self.metadata = Metadata.from_properties({k: v for k, v in properties.items() if v})
        except (ValueError, BadZipFile, RuntimeError) as error:
            raise ValueError(f'{file} cannot be used: {error}') from error
        self.names = list(NAMES[self.metadata.task])

    @torch.no_grad()
    def run(self, images: np.ndarray) -> list[Any]:
        """The raw outputs for a batch as the file takes it."""
        return [output.numpy() for output in self.module(torch.from_numpy(images))]

"""The graph as a package of PyTorch, for where PyTorch runs but OpenMMLab's packages do not."""
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from dsnet_mm.deploy import suppression  # noqa: F401  (its operator is in the detectors' graphs)
from dsnet_mm.deploy.errors import CannotExport
from dsnet_mm.deploy.metadata import KEY, Metadata
from dsnet_mm.deploy.session import Session

import numpy as np
import torch

NAMES = {'detection': ('boxes', 'scores', 'labels'), 'segmentation': ('labels', 'scores')}


def save(program: torch.export.ExportedProgram, metadata: Metadata, file: Path,
         compiled: bool = False) -> None:
    """Writes a package.

    Args:
        program (torch.export.ExportedProgram): The graph.
        metadata (Metadata): What stands in the file.
        file (Path): Its name ends with ``.pt2``.
        compiled (bool): Compile it by AOTInductor, for processors of this kind; needs a compiler
            of C++.

    Raises:
        CannotExport: If it cannot be compiled.
    """
    properties = metadata.to_properties()
    if not compiled:
        torch.export.save(program, file, extra_files=properties)
        return
    from torch._inductor.exc import InductorError  # imports the compiler
    try:
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(file),
            inductor_configs={'aot_inductor.metadata': properties})
    except InductorError as error:
        reason = str(error).splitlines()[0]
        raise CannotExport('a package compiled by AOTInductor', f'{reason}. Leave out --compile '
                           'for one that needs no compiling') from error


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
        try:
            load = _load_compiled if _is_compiled(file) else _load
            self.module, properties = load(str(file))
            self.metadata = Metadata.from_properties(properties)
        except (ValueError, BadZipFile, RuntimeError) as error:
            raise ValueError(f'{file} cannot be used: {error}') from error
        self.names = list(NAMES[self.metadata.task])

    @torch.no_grad()
    def run(self, images: np.ndarray) -> list[Any]:
        """The raw outputs for a batch as the file takes it."""
        return [output.numpy() for output in self.module(torch.from_numpy(images))]


def _is_compiled(file: str | Path) -> bool:
    with ZipFile(file) as archive:
        return any('/aotinductor/' in name for name in archive.namelist())


def _load(file: str) -> tuple[Any, dict[str, str]]:
    properties = {KEY: ''}
    program = torch.export.load(file, extra_files=properties)
    return program.module(), {key: value for key, value in properties.items() if value}


def _load_compiled(file: str) -> tuple[Any, dict[str, str]]:
    module = torch._inductor.aoti_load_package(file)
    return module, module.get_metadata()

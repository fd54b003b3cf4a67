"""Files of inputs and results: found, checked before long work begins, and written atomically."""
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# First bytes of PyTorch's files: a zip archive, or before version 1.6 a pickled number.
_ZIP, _OLD = b'PK\x03\x04', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'


@contextmanager
def atomic_write(file: str | Path) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces the file if the block succeeds; if it
    fails, an existing file stays as it was."""
    file = Path(file)
    # Libraries choose the format by the suffix.
    unfinished = file.with_name(f'{file.stem}.dsnet_mm-unfinished{file.suffix}')
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def check_output(file: str | Path) -> None:
    """Raises an OSError if a file is a folder, or its folder is missing."""
    file = Path(file)
    if not file.parent.is_dir():
        raise FileNotFoundError(f'there is no folder {file.parent} to write {file.name} into: '
                                'create it, or give another path')
    if file.is_dir():
        raise IsADirectoryError(f'{file} is a folder: give the path of a file')


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files with these suffixes in a folder and its sub-folders, sorted."""
    return sorted(file for file in folder.rglob('*')
                  if file.suffix.lower() in suffixes and file.is_file())


def find_inputs(paths: Iterable[Path], out: Path, suffixes: Collection[str]) -> dict[Path, Path]:
    """Finds the input files of a command.

    Args:
        paths (Iterable[Path]): Files of any suffix, and folders, searched with their sub-folders.
        out (Path): The output folder. Files in it are not taken as inputs.
        suffixes (Collection[str]): Of the files to take from folders, as in ``'.jpg'``.

    Returns:
        dict[Path, Path]: For each input, its path relative to the given folder.

    Raises:
        FileNotFoundError: If a path does not exist, or there are no such files.
        NotADirectoryError: If the output folder is a file.
        ValueError: If an input folder is in the output folder.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f'{out} is a file: give a folder')
    paths, found = list(paths), dict[Path, Path]()
    for path in paths:
        if path.is_file():
            found[path] = Path(path.name)
        elif not path.is_dir():
            raise FileNotFoundError(f'{path} does not exist')
        elif path.resolve().is_relative_to(out.resolve()):
            raise ValueError(f'{path} is in the output folder {out}: give another --out')
        else:
            found.update({file: file.relative_to(path) for file in find_files(path, suffixes)
                          if not file.resolve().is_relative_to(out.resolve())})
    if not found:
        raise no_files(*paths, suffixes=suffixes)
    return found


def no_files(*paths: Path, suffixes: Iterable[str]) -> FileNotFoundError:
    """The error for a search without result."""
    return FileNotFoundError(f'no images in {", ".join(map(str, paths))}: looked for '
                             f'{" ".join(suffixes)}')


def check_distinct(results: Mapping[Path, Path]) -> None:
    """Raises a ValueError if two inputs (keys) have the same result (values)."""
    taken: dict[Path, Path] = {}
    for source, result in results.items():
        other = taken.setdefault(result, source)
        if other != source:
            raise ValueError(f'{other} and {source} would both become {result}: process them one '
                             'after the other with another --out, or name the folder above both')


def check_new(file: Path, inputs: Collection[Path], overwrite: bool) -> None:
    """Raises a ValueError if a file to be written is one of the inputs (resolved paths), which are
    never overwritten, and a FileExistsError if it exists and is not to be overwritten."""
    if file.resolve() in inputs:
        raise ValueError(f'{file} is an input, which is never overwritten: give another output')
    if file.exists() and not overwrite:
        raise FileExistsError(f'{file} exists already: give --overwrite or another --out')


def check_file(checkpoint: str | Path) -> None:
    """Checks that a file is a complete checkpoint, without loading it.

    Args:
        checkpoint (str | Path): The file; a URL is left to mmengine.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated, damaged, or not a PyTorch file.
    """
    if '://' in str(checkpoint):
        return
    file = Path(checkpoint).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f'there is no checkpoint {file}')
    with file.open('rb') as content:
        start = content.read(len(_OLD))
    if start == _OLD:
        return
    if not start.startswith(_ZIP):
        raise ValueError(f'{file} is no checkpoint: a file of PyTorch does not begin with '
                         f'{start[:4]!r}')
    remedy = 'delete it, and take an earlier one or get it again'
    if not zipfile.is_zipfile(file):
        raise ValueError(f'{file} is cut off after {file.stat().st_size:,} bytes: {remedy}')
    damaged = zipfile.ZipFile(file).testzip()
    if damaged is not None:
        raise ValueError(f'{file} is damaged ({damaged}): {remedy}')

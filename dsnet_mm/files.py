"""Writing files atomically, and checks of files before long work begins."""
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# First bytes of PyTorch's files: a zip archive, or before version 1.6 a pickled number.
_ZIP, _OLD = b'PK\x03\x04', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'


@contextmanager
def atomic_write(file: str | Path) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces the file if the block succeeds.

    If the block fails, an existing file stays as it was.

    Raises:
        OSError: If the file cannot be written.
    """
    file = Path(file)
    # Libraries go by the ending, and nobody calls a file so.
    unfinished = file.with_name(f'{file.stem}.dsnet_mm-unfinished{file.suffix}')
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def check_output(file: str | Path) -> None:
    """Checks that a file could be written, without writing it.

    Raises:
        FileNotFoundError: If its folder does not exist.
        IsADirectoryError: If it is a folder.
    """
    file = Path(file)
    if not file.parent.is_dir():
        raise FileNotFoundError(f'there is no folder {file.parent} to write {file.name} into: make '
                                'it, or give another name')
    if file.is_dir():
        raise IsADirectoryError(f'{file} is a folder: give the name of a file')


def check_file(checkpoint: str | Path) -> None:
    """Checks that a file is a complete checkpoint, without loading it.

    Args:
        checkpoint (str | Path): The file; a URL is left to mmengine.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is cut off, damaged, or no file of PyTorch.
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

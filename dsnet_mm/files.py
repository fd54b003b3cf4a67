"""Files that are written whole or not at all."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(file: str | Path) -> Iterator[Path]:
    """Gives another path to write to, which becomes the file when that has succeeded. If it fails,
    the file that was there stays.

    Raises:
        OSError: If the disk does not let itself be written.
    """
    file = Path(file)
    unfinished = file.with_name(f'{file.name}.tmp')
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)

"""Writing files atomically."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(file: str | Path) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces the file if the block succeeds.

    If the block fails, an existing file stays as it was.

    Raises:
        OSError: If the file cannot be written.
    """
    file = Path(file)
    unfinished = file.with_name(f'{file.stem}.tmp{file.suffix}')  # libraries go by the ending
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)

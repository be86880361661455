"""Folders for files that are only here while they are worked on."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "selfremaster-fetched-"
LOCK_NAME = "lock"
YOUNG_SECONDS = 60.0  # a folder may not have its lock yet


@contextmanager
def scratch(prefix: str = PREFIX) -> Iterator[Path]:
    """A folder of its own among the temporary ones, which goes away with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        with FileLock(folder / LOCK_NAME):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(prefix: str = PREFIX) -> None:
    """Delete what processes left that were killed: nobody holds its lock any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError, Timeout):
            if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            with FileLock(folder / LOCK_NAME, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)

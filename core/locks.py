"""A folder of results for one run at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import cannot_write

LOCK_NAME = ".selfremaster.lock"


@contextmanager
def locked(
    folder: Path, error_class: type[SelfRemasterError] = SelfRemasterError
) -> Iterator[None]:
    """Hold the system's own lock on a folder, which ends with the process, however that ends.

    The folder is made where it is missing. The lock is a file in it, which is deleted at the end;
    that of a process which was killed stays, and hinders nobody.

    Raises `SelfRemasterError`, or what is named instead, where another run holds it.
    """
    place = folder / LOCK_NAME
    lock = FileLock(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise error_class(
            f"{folder}: another run is writing into it; wait until that has ended, or name "
            "another --output"
        ) from None
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        yield
    finally:
        with suppress(OSError):  # not every system lets go of the name of what is open
            place.unlink(missing_ok=True)  # while it is held: who opened it meanwhile sees that
        lock.release()

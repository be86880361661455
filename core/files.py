"""Writing files so that they are either whole or not there."""

import errno
import hashlib
import os
import secrets
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from selfremaster.core.errors import SelfRemasterError

OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
BYTES_AT_ONCE = 1 << 20
LONGEST_STEM = (
    80  # characters; with four bytes each and the suffix well below the usual limit of 255
)


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, which takes the place of the file at the end.

    Folders that are missing are made. The temporary name is hidden and keeps the suffix. When the
    block ends well, the content is forced to the disk and the name changed in one step; when it
    does not, Ctrl-C included, the temporary file is removed and the old file stays as it was. The
    new file has the permissions of the old one, or those that the umask leaves. A link is followed.

    Raises `SelfRemasterError` where nothing can be written, or when the disk is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_atomically(Path(folder, "note.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     Path(folder, "note.txt").read_text(), os.listdir(folder)
    ('whole', ['note.txt'])
    """
    wanted = Path(path)
    final = real_path(wanted) if wanted.is_symlink() else wanted
    temporary = _create_beside(wanted, final)
    try:
        yield temporary
        _force_to_disk(temporary)
        try:
            os.replace(temporary, final)
        except OSError as error:
            raise cannot_write(wanted, error) from None
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise cannot_write(wanted, error) from None
        raise
    with suppress(OSError):  # not every system can open a folder
        _force_to_disk(final.parent)


@contextmanager
def write_together(*paths: str | os.PathLike[str]) -> Iterator[tuple[Path, ...]]:
    """Like `write_atomically` for files that belong together: all are there, or those of before.

    All of them are written and forced to the disk before the first name changes, and Ctrl-C waits
    for the last one. Names change so that a file is never beside one of another time: even when all
    ends suddenly, the later files are there only with the earlier ones that belong to them.

    Raises `SelfRemasterError` as `write_atomically` does; then the old files are there again.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_together(Path(folder, "note.txt"), Path(folder, "sound")) as temporaries:
    ...         _ = [path.write_text("whole") for path in temporaries]
    ...     sorted(os.listdir(folder))
    ['note.txt', 'sound']
    """
    wanted = [Path(path) for path in paths]
    finals = [real_path(path) if path.is_symlink() else path for path in wanted]
    temporaries: list[Path] = []
    try:
        for path, final in zip(wanted, finals, strict=True):
            temporaries.append(_create_beside(path, final))
        yield tuple(temporaries)
        for temporary in temporaries:
            _force_to_disk(temporary)
        try:
            with _ctrl_c_waits():
                _change_names(temporaries, finals)
        except OSError as error:
            raise cannot_write(wanted[-1], error) from None
    except BaseException as error:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise cannot_write(wanted[-1], error) from None
        raise
    for folder in dict.fromkeys(final.parent for final in finals):
        with suppress(OSError):  # not every system can open a folder
            _force_to_disk(folder)


def _change_names(temporaries: Sequence[Path], finals: Sequence[Path]) -> None:
    """Put new files in the place of old ones, which go out of the way last to first, before."""
    kept = [new.with_name(f"{new.name}.old") for new in temporaries]
    there = [pair for pair in zip(finals, kept, strict=True) if pair[0].exists()]
    moves = [*reversed(there), *zip(temporaries, finals, strict=True)]
    done: list[tuple[Path, Path]] = []
    try:
        for before, after in moves:
            os.replace(before, after)
            done.append((before, after))
    except BaseException:
        for before, after in reversed(done):
            with suppress(OSError):
                os.replace(after, before)
        raise
    for old in kept:
        with suppress(OSError):
            old.unlink(missing_ok=True)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C off for a moment, where it is this thread's; it is heard at the end."""
    before = signal.getsignal(signal.SIGINT)
    mine = threading.current_thread() is threading.main_thread()
    if not mine or not callable(before):
        yield
        return
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            before(heard[0], None)


def insert(file: BinaryIO, place: int, new: bytes) -> None:
    """Put bytes into a file that is open for reading and writing, and move what follows.

    >>> import io
    >>> file = io.BytesIO(b"ad")
    >>> insert(file, 1, b"bc")
    >>> file.getvalue()
    b'abcd'
    """
    left = file.seek(0, os.SEEK_END)
    while new and left > place:
        begins = max(left - BYTES_AT_ONCE, place)
        file.seek(begins)
        piece = file.read(left - begins)
        file.seek(begins + len(new))
        file.write(piece)
        left = begins
    file.seek(place)
    file.write(new)


def sha256_of(path: Path) -> str:
    """The SHA-256 hash of what a file holds, in hexadecimal digits.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     empty = Path(folder, "empty")
    ...     empty.touch()
    ...     sha256_of(empty)[:8]
    'e3b0c442'
    """
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def real_path(path: Path) -> Path:
    """The path without links, whole; of links that lead to themselves, as far as they lead.

    >>> real_path(Path("/")) == Path("/")
    True
    """
    return Path(os.path.realpath(path))


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one around it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def folder_named(parent: Path, name: str) -> Path:
    """The folder of a name that a file gives, which may not lead anywhere else.

    Raises `SelfRemasterError`.

    >>> folder_named(Path("runs"), "../tapes")
    Traceback (most recent call last):
    selfremaster.core.errors.SelfRemasterError: '../tapes' is no name of a folder; give --output
    """
    if name in ("", ".", "..") or set(name) & set("/\\:\0"):
        raise SelfRemasterError(f"{name!r} is no name of a folder; give --output")
    return parent / name


def check_place(path: Path, overwrite: bool, example: str, originals: Sequence[Path] = ()) -> None:
    """Raise `SelfRemasterError` before any work where a file cannot be written to.

    ``example`` is the name of such a file, for what is said to who named a folder.
    """
    there = [original for original in originals if original.exists()]
    if path.exists() and any(path.samefile(original) for original in there):
        raise SelfRemasterError(
            f"{path}: is an input itself; originals are never overwritten, name another output"
        )
    if path.is_dir():
        raise SelfRemasterError(f"{path}: is a folder; name a file, such as {path / example}")
    if path.exists() and not overwrite:
        raise SelfRemasterError(f"{path}: exists already; add --overwrite, or name another file")


def _create_beside(wanted: Path, final: Path) -> Path:
    """An empty hidden file in the folder of the final one, with the final permissions."""
    if final.is_dir():
        raise SelfRemasterError(f"cannot write {wanted}: it is a folder; name a file")
    if final.exists() and not final.is_file():  # to be replaced like a file, it would be gone
        raise SelfRemasterError(f"cannot write {wanted}: it is a device or a pipe; name a file")
    name = f".{final.stem[:LONGEST_STEM]}.{secrets.token_hex(4)}.part{final.suffix}"
    temporary = final.parent / name
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(final.stat().st_mode) if final.exists() else None
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if mode is not None:
            os.chmod(temporary, mode)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(wanted, error) from None
    return temporary


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> SelfRemasterError:
    """What is said of a file or folder that cannot be written, and what to do."""
    reason = (error.strerror or str(error)).lower()
    advice = (
        "make room" if error.errno in OUT_OF_SPACE else "choose a folder that can be written to"
    )
    return SelfRemasterError(f"cannot write {path}: {reason}; {advice}")

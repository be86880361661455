"""A file that is read as if it began otherwise."""

import io
import os
from pathlib import Path


class Spliced(io.RawIOBase):
    """Some bytes, and after them a stretch of a file, read from the disk as it is asked for.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (path := Path(folder, "a")).write_bytes(b"0123456789")
    ...     with Spliced(b"new", path, 4, 9) as file:
    ...         file.read()
    b'new45678'
    """

    def __init__(self, head: bytes, path: Path, start: int, end: int | None = None) -> None:
        super().__init__()
        self._head, self._start = head, start
        self._file = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self._size = len(head) + max(min(size, size if end is None else end) - start, 0)
        self._place = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Any place of it."""
        return True

    def tell(self) -> int:
        """Where it stands, in bytes."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, in bytes."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(origin + offset, 0)
        return self._place

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as there is anything."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what readinto is given
        done = 0
        while done < len(view) and self._place < self._size:
            wanted = min(len(view) - done, self._size - self._place)
            if self._place < len(self._head):
                piece = self._head[self._place : self._place + wanted]
            else:
                self._file.seek(self._start + self._place - len(self._head))
                piece = self._file.read(wanted)
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._place += len(piece)
        return done

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()

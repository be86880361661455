"""Who is at the page, and what lies here for them: it goes when they go."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock


class Visitors:
    """The visitors of a page, and the files and folders below ``folder`` that are theirs.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "tape.wav").touch()
    >>> visitors = Visitors(folder)
    >>> visitors.keep(visitors.came("first"), [folder / "tape.wav"])
    >>> visitors.left("first")
    >>> list(folder.iterdir())
    []
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._theirs: dict[str, set[Path]] = {}
        self._at_work: set[Path] = set()
        self._lock = Lock()

    def came(self, visitor: str) -> str:
        """Expect a visitor to have files here from now on."""
        self.keep(visitor, ())
        return visitor

    def keep(self, visitor: str | None, paths: Iterable[Path]) -> None:
        """Note what is a visitor's; of one that is not known, gradio deletes it in time."""
        if visitor is not None:
            with self._lock:
                self._theirs.setdefault(visitor, set()).update(paths)

    def begin(self, visitor: str | None, place: Path) -> None:
        """Note a place of a visitor's that is worked in, which stays until that is `done`."""
        self.keep(visitor, [place])
        with self._lock:
            self._at_work.add(place)

    def left(self, visitor: str | None) -> None:
        """Delete what is a visitor's and nobody else's; after the last one, everything."""
        with self._lock:
            theirs = self._theirs.pop(visitor, set()) if visitor is not None else set()
            others = set[Path]().union(*self._theirs.values())
            for path in theirs - others - self._at_work:
                delete(path)
                if path.parent != self.folder:
                    with suppress(OSError):  # others' files are in it
                        path.parent.rmdir()
            if not self._theirs:  # what was brought without being used, too
                with suppress(OSError):
                    for path in {*self.folder.iterdir()} - self._at_work:
                        delete(path)

    def done(self, visitor: str | None, place: Path) -> None:
        """Delete the place of work that ended after its visitor had left."""
        with self._lock:
            self._at_work.discard(place)
            if visitor is not None and visitor not in self._theirs:
                delete(place)


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)

"""Finding the sound files of folders."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from selfremaster.core.errors import AudioError
from selfremaster.core.formats import READABLE

PathLike = str | os.PathLike[str]


def find_audio(paths: PathLike | Sequence[PathLike]) -> list[tuple[Path, Path]]:
    """Every sound file among files and folders, with where it lies in its folder, sorted.

    Folders are searched through and through, by suffix; hidden files and folders are left out. A
    file that is named itself is taken whatever its suffix, and lies at the top. The second path
    of each pair is the place in an output folder that keeps the tree.
    Raises `AudioError` for a missing path, a folder without sound, and two files that would have
    the same place.
    """
    given: Iterable[PathLike] = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    found: dict[Path, Path] = {}
    for path in map(Path, given):
        pairs = [(path, Path(path.name))] if path.is_file() else _within(path)
        for file, place in pairs:
            other = found.setdefault(place, file)
            if other != file and not other.samefile(file):
                raise AudioError(
                    f"{other} and {file} would both be {place} in the output; "
                    f"give the folder above them, or one after the other"
                )
    return sorted(((file, place) for place, file in found.items()), key=lambda pair: pair[1].parts)


def _within(folder: Path) -> list[tuple[Path, Path]]:
    if not folder.exists():
        raise AudioError(f"{folder}: no such file or folder; check the path")
    if not folder.is_dir():
        raise AudioError(f"{folder}: neither a file nor a folder")
    pairs = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            file = Path(parent, name)
            if not name.startswith(".") and file.suffix.lower() in READABLE:
                pairs.append((file, file.relative_to(folder)))
    if not pairs:
        raise AudioError(f"{folder}: no sound files in it; searched for {', '.join(READABLE)}")
    return pairs

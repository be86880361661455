"""Finding the sound files of folders."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from selfremaster.core.errors import AudioError
from selfremaster.core.formats import READABLE

PathLike = str | os.PathLike[str]

MOST_NAMED = 8  # suffixes


Unlisted = Callable[[Path, Path, str], None]
"""Told of a folder that cannot be listed, its place, and why."""


def find_audio(
    paths: PathLike | Sequence[PathLike], unlisted: Unlisted | None = None
) -> list[tuple[Path, Path]]:
    """Every sound file among files and folders, with where it lies in its folder, sorted.

    Folders are searched through and through, by suffix; hidden files and folders are left out. A
    file that is named itself is taken whatever its suffix, and lies at the top. The second path
    of each pair is the place in an output folder that keeps the tree. A folder that links lead to
    has the place that is its own, if it lies there, too.
    Raises `AudioError` for a missing path, a folder without sound, two files that would have the
    same place, and a folder in it that cannot be listed, unless somebody is told of those.
    """
    given: Iterable[PathLike] = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    found: dict[Path, Path] = {}
    for path in map(Path, given):
        pairs = [(path, Path(path.name))] if path.is_file() else _within(path, unlisted or _refuse)
        for file, place in pairs:
            other = found.setdefault(place, file)
            if other != file and not other.samefile(file):
                raise AudioError(
                    f"{other} and {file} would both be {place} in the output; "
                    f"give the folder above them, or one after the other"
                )
    return sorted(((file, place) for place, file in found.items()), key=lambda pair: pair[1].parts)


def other_files(paths: Sequence[PathLike]) -> list[tuple[Path, Path]]:
    """Every file of the folders that `find_audio` passes over, but for hidden ones, with its place.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.wav", "b.txt"):
    ...         Path(folder, name).touch()
    ...     [str(place) for _, place in other_files([folder])]
    ['b.txt']
    """
    return [
        pair
        for folder in map(Path, paths)
        if folder.is_dir()
        for pair in _files(folder, _pass_over)
        if not is_sound(pair[0].name)
    ]


def is_sound(name: str) -> bool:
    """Whether a file is taken for a sound by its suffix."""
    return Path(name).suffix.lower() in READABLE


def is_wanted(place: PurePath, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether patterns fit a place: one of the former if there are any, and none of the latter.

    A star stands for any signs; capitals, and how accents are written, make no difference.

    >>> is_wanted(Path("1931/A.WAV"), ["*.wav"], []), is_wanted(Path("1931/A.WAV"), [], ["1931/*"])
    (True, False)
    """

    def fits(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(_plain(place.as_posix()), _plain(pattern)) for pattern in patterns)

    return (not include or fits(include)) and not fits(exclude)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def tally(places: Iterable[PurePath]) -> dict[str, int]:
    """How many files there are of each suffix, the most frequent first.

    >>> tally([Path("a.txt"), Path("b.jpg"), Path("c.TXT"), Path("README")])
    {'.txt': 2, '.jpg': 1, 'no suffix': 1}
    """
    counts = Counter(place.suffix.lower() or "no suffix" for place in places)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def in_words(counts: Mapping[str, int]) -> str:
    """What `tally` gives, for people.

    >>> in_words({".txt": 3, ".jpg": 1})
    '4 other files were left alone (.txt 3, .jpg 1)'
    """
    number = sum(counts.values())
    subject = "1 other file was" if number == 1 else f"{number} other files were"
    return f"{subject} left alone ({_suffixes(counts)})"


def _suffixes(counts: Mapping[str, int]) -> str:
    named = [f"{suffix} {count}" for suffix, count in list(counts.items())[:MOST_NAMED]]
    return ", ".join([*named, *(["..."] if len(counts) > MOST_NAMED else [])])


def _refuse(folder: Path, place: Path, why: str) -> None:
    raise AudioError(
        f"{folder}: cannot be listed: {why}; check its rights, or name what lies beside it"
    )


def _pass_over(folder: Path, place: Path, why: str) -> None:
    """Others tell of it."""


def _within(folder: Path, unlisted: Unlisted) -> list[tuple[Path, Path]]:
    if not folder.exists():
        raise AudioError(f"{folder}: no such file or folder; check the path")
    if not folder.is_dir():
        raise AudioError(f"{folder}: neither a file nor a folder")
    pairs: list[tuple[Path, Path]] = []
    others: list[Path] = []
    closed: list[Path] = []

    def told(there: Path, place: Path, why: str) -> None:
        unlisted(there, place, why)
        closed.append(there)

    for pair in _files(folder, told):
        if is_sound(pair[0].name):
            pairs.append(pair)
        else:
            others.append(pair[1])
    if not pairs:
        there = f" but others ({_suffixes(tally(others))})" if others else ""
        barred = f", and {closed[0]} cannot be listed" if closed else ""
        known = ", ".join(READABLE)
        raise AudioError(f"{folder}: no sound files in it{there}{barred}; searched for {known}")
    return pairs


def _files(folder: Path, unlisted: Unlisted) -> Iterator[tuple[Path, Path]]:
    """All files but hidden ones, with their places in the folder; links are followed at the end."""

    def told(error: OSError) -> None:
        there = Path(error.filename)
        unlisted(there, there.relative_to(folder), (error.strerror or str(error)).lower())

    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        links: list[Path] = []
        for top in waiting:
            for parent, folders, files in os.walk(top, onerror=told):
                real = os.path.realpath(parent)
                if real in seen:  # a link to a folder that is reached otherwise
                    folders.clear()
                    continue
                seen.add(real)
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                links += [there for name in folders if (there := Path(parent, name)).is_symlink()]
                for name in files:
                    if not name.startswith("."):
                        file = Path(parent, name)
                        yield file, file.relative_to(folder)
        waiting = links

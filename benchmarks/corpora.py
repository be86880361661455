"""The speech of a benchmark: which files a corpus holds, who speaks, and what is clean of them."""

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from selfremaster.benchmarks.grids import CorpusSettings
from selfremaster.core import audio, layouts, manifests
from selfremaster.core.components import hint
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.files import sha256_of
from selfremaster.core.formats import FORMATS

SHOWN_NAMES = 12


class Piece(NamedTuple):
    """One file of a corpus, and its clean original where the corpus has one."""

    file: str  # unique within the corpus
    path: Path
    speaker: str
    split: str
    sha256: str
    samples: int  # of each channel, after the cut
    sample_rate: int  # Hz
    channels: int
    clean: Path | None = None
    clean_sha256: str = ""
    no_clean: str = ""  # why there is no clean original, where there ought to be one

    @property
    def seconds(self) -> float:
        """The length of what is taken of it."""
        return self.samples / self.sample_rate

    def read(self) -> Tensor:
        """The sound, (channels, samples)."""
        return audio.read(self.path, samples=self.samples)[0]

    def content(self) -> list[Any]:
        """What a hash of it is made of: no path."""
        return [self.file, self.sha256, self.samples, self.clean_sha256 or self.no_clean]


class Corpus(NamedTuple):
    """The files that are taken of a corpus; those that cannot be, with the reason."""

    pieces: tuple[Piece, ...]
    exclusions: tuple[str, ...] = ()
    has_clean: bool = False  # whether its files are recordings, with or without clean originals

    @property
    def summary(self) -> dict[str, Any]:
        """What the provenance tells of it."""
        return {
            "files": len(self.pieces),
            "seconds": round(sum(piece.seconds for piece in self.pieces), 3),
            "speakers": len({piece.speaker for piece in self.pieces}),
        }


class _Row(NamedTuple):
    """A file before anybody has looked at it."""

    file: str
    path: Path
    speaker: str
    split: str
    clean: Path | None = None
    no_clean: str = ""


def read_corpus(name: str, settings: CorpusSettings, *, all_splits: bool = False) -> Corpus:
    """The files of a corpus, sorted; those that cannot be read are left out and named.

    A corpus in which nothing is left is empty, and says why. ``all_splits`` takes every split
    unless one is asked for by name. Raises `ExperimentError` for a folder, manifest, speaker or
    column that there is not.
    """
    rows = _rows(name, settings)
    split = settings.split
    if all_splits and "split" not in settings.model_fields_set:
        split = None
    if split is not None and any(row.split for row in rows):
        there = sorted({row.split for row in rows})
        rows = [row for row in rows if row.split == split]
        if not rows:
            empty = f"corpus {name}: no file in the split {split!r}, only in {_some(there)}"
            return Corpus((), (empty,), settings.clean is not None)
    rows = _first_of_each(_of_speakers(name, rows, settings.speakers), settings.files_per_speaker)
    pieces: list[Piece] = []
    exclusions: list[str] = []
    for row in rows:
        try:
            pieces.append(_look_at(row, settings.seconds))
        except AudioError as error:
            exclusions.append(f"corpus {name}: {error}")
    if not rows:
        exclusions.append(f"corpus {name}: no sound file in {settings.folder or settings.manifest}")
    return Corpus(tuple(pieces), tuple(exclusions), settings.clean is not None)


def _rows(name: str, settings: CorpusSettings) -> list[_Row]:
    if settings.manifest is not None:
        read = manifests.read(settings.manifest)
        rows = [_Row(item.path, read.file(item), item.speaker, item.split) for item in read.items]
        if settings.clean is None:
            return rows
        if any(settings.clean in item.others for item in read.items):
            return [
                _with_original(row, read.folder, item.others[str(settings.clean)])
                for row, item in zip(rows, read.items, strict=True)
            ]
    else:
        folder = settings.folder or Path()
        if not folder.is_dir():
            raise ExperimentError(f"corpus {name}: {folder}: no such folder; check the path")
        rows = _folder_rows(folder, settings.layout)
    if settings.clean is None:
        return rows
    originals = Path(settings.clean)
    if not originals.is_dir():
        raise ExperimentError(
            f"corpus {name}: clean={settings.clean}: neither a column of the manifest nor a folder"
        )
    return [_beside(row, originals) for row in rows]


def _folder_rows(folder: Path, layout: str) -> list[_Row]:
    if layout != "files":
        found = layouts.read(layout, folder)
        return [_Row(row.path, folder / row.path, row.speaker, row.split) for row in found]
    try:
        pairs = audio.find_audio(folder)
    except AudioError:  # nothing in it
        return []
    own = folder.resolve().name
    return [
        _Row(place.as_posix(), path, place.parts[0] if len(place.parts) > 1 else own, "")
        for path, place in pairs
    ]


def _with_original(row: _Row, folder: Path, place: str) -> _Row:
    """A row with the clean original that its manifest names."""
    if not place:
        return row._replace(no_clean="the manifest names no clean original of it")
    path = folder / place
    if not path.is_file():
        return row._replace(no_clean=f"its clean original {place} is not there")
    return row._replace(clean=path)


def _beside(row: _Row, originals: Path) -> _Row:
    """A row with the clean original in the same place of another folder; any suffix will do."""
    exact = originals / row.file
    for candidate in (exact, *(exact.with_suffix(suffix) for suffix in FORMATS)):
        if candidate.is_file():
            return row._replace(clean=candidate)
    return row._replace(no_clean=f"its clean original {row.file} is not there")


def _of_speakers(name: str, rows: list[_Row], speakers: Sequence[str] | None) -> list[_Row]:
    if speakers is None:
        return rows
    known = {row.speaker for row in rows if row.speaker}
    for wanted in speakers:
        if not any(fnmatchcase(speaker, wanted) for speaker in known):
            near = hint(wanted, known).partition(" known:")[0]
            raise ExperimentError(
                f"corpus {name}: no speaker {wanted!r}{near} known: {_some(sorted(known))}"
            )
    return [row for row in rows if speaks(row.speaker, speakers)]


def speaks(speaker: str, wanted: Sequence[str]) -> bool:
    """Whether a speaker is among those asked for, of whom a name may end in a star.

    >>> speaks("ls-12", ["kathleen", "ls-*"])
    True
    """
    return any(fnmatchcase(speaker, one) for one in wanted)


def _first_of_each(rows: Iterable[_Row], most: int | None) -> list[_Row]:
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        taken[row.speaker] = taken.get(row.speaker, 0) + 1
        if most is None or taken[row.speaker] <= most:
            kept.append(row)
    return kept


def _look_at(row: _Row, seconds: float | None) -> Piece:
    if not row.file.isprintable():
        raise AudioError(f"{row.file!r}: its name is not plain UTF-8 text; rename it")
    info = audio.check(row.path)
    samples = info.samples
    if seconds is not None:
        samples = min(samples, max(1, round(seconds * info.sample_rate)))
    return Piece(
        row.file,
        row.path.absolute(),
        row.speaker,
        row.split,
        known_sha256(row.path),
        samples,
        info.sample_rate,
        info.channels,
        row.clean.absolute() if row.clean else None,
        known_sha256(row.clean) if row.clean else "",
        row.no_clean,
    )


def known_sha256(path: Path) -> str:
    """The hash of a file, computed once as long as it does not change."""
    status = path.stat()
    return _sha256(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    return sha256_of(path)


def _some(names: Collection[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join([*names][:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")

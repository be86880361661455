"""Manifests: which files a corpus holds, who speaks in them, and which split each belongs to."""

import csv
import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from selfremaster.core import audio, jobs, layouts
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.files import real_path, sha256_of, write_atomically
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.splits import SPLITS, Kind, check_settings, draw_splits

PathLike = str | os.PathLike[str]

COLUMNS = ("path", "seconds", "sample_rate", "channels", "speaker", "split", "sha256")
REQUIRED = ("path", "split")
HASH_SUFFIX = "_sha256"  # of the column with the hashes of files that another column names
DEFAULT_FRACTIONS = (0.9, 0.05, 0.05)
NAMED_FAILURES = 3


@dataclass(frozen=True)
class Item:
    """One file of a corpus: a row of the manifest. What a foreign manifest leaves out is None."""

    path: str  # relative to the folder of the manifest, with slashes
    split: str
    speaker: str = ""
    seconds: float | None = None
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    sha256: str = ""
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The files of a corpus, sorted by path, and the folder that their paths start from."""

    folder: Path
    items: tuple[Item, ...]

    def file(self, item: Item) -> Path:
        """Where the file of a row lies."""
        return self.folder / item.path

    def splits(self) -> dict[str, int]:
        """How many files each split has."""
        names = sorted({item.split for item in self.items}, key=_split_order)
        return {name: sum(item.split == name for item in self.items) for name in names}

    def speakers(self) -> list[str]:
        """Everyone who speaks, sorted."""
        return sorted({item.speaker for item in self.items if item.speaker})


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def read(path: PathLike) -> Manifest:
    """Read a manifest: CSV in UTF-8 with a heading, of which only path and split are required.

    Columns of no meaning here (licence, text, ...) are kept. Raises `ExperimentError` with the line
    for what is no manifest, a missing column, an absolute path, or a path that comes twice.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream, strict=True))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ExperimentError(f"{path}: cannot be read: {reason}; check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExperimentError(f"{path}: not a manifest (CSV in UTF-8): {error}") from None
    heading = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in REQUIRED if name not in heading]
    if missing or len(set(heading)) < len(heading):
        what = f"no column {' and '.join(missing)}" if missing else "a column comes twice"
        raise ExperimentError(
            f"{path}: not a manifest: {what} in its first line; "
            f"required are {', '.join(REQUIRED)}, known {', '.join(COLUMNS)}"
        )
    items: dict[str, Item] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"{path}, row {number}"
        if len(row) != len(heading):
            raise ExperimentError(f"{where}: {len(row)} values for {len(heading)} columns")
        item = _item(where, dict(zip(heading, row, strict=True)))
        if item.path in items:
            raise ExperimentError(f"{where}: {item.path} comes a second time; leave one out")
        items[item.path] = item
    if not items:
        raise ExperimentError(f"{path}: a manifest without files")
    return Manifest(Path(path).parent, tuple(items[name] for name in sorted(items)))


def _item(where: str, row: dict[str, str]) -> Item:
    given = row["path"]
    if (
        not given
        or "\0" in given
        or PurePosixPath(given).is_absolute()
        or Path(given).is_absolute()
    ):
        raise ExperimentError(
            f"{where}: path {given!r}; write it relative to the folder of the manifest"
        )
    split = row["split"].strip()
    if not split:
        raise ExperimentError(f"{where}: no split; write {', '.join(SPLITS)}")
    return Item(
        path=os.path.normpath(given).replace(os.sep, "/"),
        split=split,
        speaker=row.get("speaker", "").strip(),
        seconds=_number(where, "seconds", row),
        sample_rate=_whole_number(where, "sample_rate", row),
        channels=_whole_number(where, "channels", row),
        sha256=row.get("sha256", "").strip().lower(),
        others={name: value for name, value in row.items() if name not in COLUMNS},
    )


def _number(where: str, name: str, row: Mapping[str, str]) -> float | None:
    text = row.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ExperimentError(f"{where}: {name} is {text!r}, not a number above 0")
    return number


def _whole_number(where: str, name: str, row: Mapping[str, str]) -> int | None:
    number = _number(where, name, row)
    if number is not None and number != int(number):
        raise ExperimentError(f"{where}: {name} is {number}, not a whole number")
    return None if number is None else int(number)


def write(manifest: Manifest, path: PathLike) -> None:
    """Write a manifest as CSV, with paths relative to where it is written; whole or not at all."""
    target = Path(path)
    extra = sorted({name for item in manifest.items for name in item.others})
    lines = io.StringIO(newline="")
    table = csv.writer(lines, lineterminator="\n")
    table.writerow([*COLUMNS, *extra])
    start = real_path(target.parent)
    for item in manifest.items:
        place = item.path
        if real_path(manifest.folder) != start:
            place = os.path.relpath(real_path(manifest.folder) / item.path, start)
        known = {
            "path": place.replace(os.sep, "/"),
            "seconds": "" if item.seconds is None else f"{item.seconds:.3f}",
            "sample_rate": "" if item.sample_rate is None else str(item.sample_rate),
            "channels": "" if item.channels is None else str(item.channels),
            "speaker": item.speaker,
            "split": item.split,
            "sha256": item.sha256,
        }
        table.writerow([*known.values(), *(item.others.get(name, "") for name in extra)])
    with write_atomically(target) as temporary:
        temporary.write_text(lines.getvalue(), encoding="utf-8", newline="")


def content_hash(manifest: Manifest, column: str | None = None) -> str:
    """One SHA-256 over what is learned from: each file's path, speaker, split and content.

    The order of rows and the columns kept for others play no part. Files of a manifest without
    sha256 are told apart by path and seconds alone. ``column`` names one with other files that are
    meant instead; their hashes are in the column of that name with ``_sha256`` behind it.
    """
    digest = hashlib.sha256()
    for item in sorted(manifest.items, key=lambda item: item.path):
        seconds = "" if item.seconds is None else f"{item.seconds:.3f}"
        if column is None:
            words: tuple[str, ...] = (item.path, item.speaker, item.split, item.sha256 or seconds)
        else:
            known = item.others.get(column + HASH_SUFFIX, "").strip().lower()
            file = item.others.get(column, "")
            words = (item.path, file, item.speaker, item.split, known or seconds)
        for word in words:
            digest.update(word.encode() + b"\0")
    return digest.hexdigest()


def build(
    folder: PathLike,
    kind: Kind = "single",
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    seed: int = 0,
    speaker_depth: int = 1,
    layout: str | None = None,
) -> Manifest:
    """Make the manifest of a folder of sound files, each gone through from end to end.

    Of a published corpus, whose ``layout`` is known, files, speakers and splits are as `layouts`
    says, and only the seed counts of the other settings. Of other folders:

    The speaker is the folder that the file lies in, counted from the top by ``speaker_depth``; in a
    corpus of a single speaker a file at the top has the corpus's own name as its speaker.

    Splits are train, val and test with the given fractions (on average). Each file gets a number
    from 0 to 1 out of a hash of the seed and its path, and its split is where that number falls.
    So a file keeps its split when others come or go. ``single`` draws over all files,
    ``multi-seen`` likewise with every speaker by itself, and ``multi-unseen`` draws a number for
    each speaker, so that nobody is in two splits.

    A split that is wanted (fraction above 0) and stays empty is given what lies nearest to its
    range, from a split that has two or more: train first, then test, then val. So three files are
    enough for three splits; in ``multi-seen`` that is done for each speaker, in ``multi-unseen``
    with whole speakers. Where something had to be moved, growth may move it back, or something
    else in its place; where every split had its own, growth changes nothing.

    Raises `AudioError` for files that cannot be read, by name, and `ExperimentError` for wrong
    fractions, or fewer than two speakers in a multi-speaker corpus.
    """
    made, failures = list_corpus(folder, kind, fractions, seed, speaker_depth, layout)
    if failures:
        more = len(failures) - NAMED_FAILURES
        named = " | ".join(failure.reason for failure in failures[:NAMED_FAILURES])
        named += f" | and {more} more" if more > 0 else ""
        count = len(failures) + len(made.items)
        raise AudioError(f"{len(failures)} of {count} files cannot be used: {named}")
    return made


def list_corpus(
    folder: PathLike,
    kind: Kind = "single",
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    seed: int = 0,
    speaker_depth: int = 1,
    layout: str | None = None,
) -> tuple[Manifest, list[Failure]]:
    """What `build` makes of the files that can be used, and the others, as if these were not there.

    A truncated file is none that can be used: what is learned from is of the length that is listed.
    """
    root = Path(folder)
    check_settings(kind, fractions)
    if not root.is_dir():
        raise ExperimentError(f"{root}: not a folder; name the folder of the corpus")
    if layout is not None:
        listed = layouts.read(layout, root, seed=seed)
        drawn = {row.path: (row.split, row.speaker) for row in listed}
        described, failures = _describe([(root / row.path, Path(row.path)) for row in listed])
    else:
        places = audio.find_audio(root)
        plain = [pair for pair in places if pair[1].as_posix().isprintable()]
        draw_rows([(root, place) for _, place in plain], kind, fractions, seed, speaker_depth)
        described, failures = _describe(places)
        named = [(root, Path(item.path)) for item in described]
        drawn = draw_rows(named, kind, fractions, seed, speaker_depth) if named else {}
    items = [
        replace(item, split=drawn[item.path][0], speaker=drawn[item.path][1]) for item in described
    ]
    return Manifest(root, tuple(sorted(items, key=lambda item: item.path))), failures


def draw_rows(
    places: Sequence[tuple[Path, Path]],
    kind: str = "single",
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    seed: int = 0,
    speaker_depth: int = 1,
) -> dict[str, tuple[str, str]]:
    """Split and speaker of files by their place, as `build` says; no file is looked at.

    Each file is given as the folder of its corpus, and its place in there.
    Raises `ExperimentError` as `build` does.
    """
    check_settings(kind, fractions)
    if speaker_depth < 1:
        raise ExperimentError(f"speaker_depth={speaker_depth}: 1 is the first folder, and so on")
    for root, place in places:
        _check_name(root / place, place)
    speakers = {
        place.as_posix(): _speaker(root, place, kind, speaker_depth) for root, place in places
    }
    if kind != "single" and len(set(speakers.values())) < 2:
        only = next(iter(speakers.values()))
        raise ExperimentError(
            f"{places[0][0]}: {kind} needs two speakers or more, and there is one ({only}); "
            f"use single, or another speaker_depth"
        )
    splits = draw_splits(speakers, kind, fractions, seed)
    return {name: (splits[name], speakers[name]) for name in speakers}


def _speaker(root: Path, place: Path, kind: str, depth: int) -> str:
    folders = place.parts[:-1]
    if len(folders) >= depth:
        return folders[depth - 1]
    if kind == "single":
        return real_path(root).name
    raise ExperimentError(
        f"{root / place}: lies in no speaker's folder (speaker_depth={depth}); "
        f"move it into one, or use single"
    )


def _describe(found: Sequence[tuple[Path, Path]]) -> tuple[list[Item], list[Failure]]:
    """The files that can be used, without split and speaker, and the others."""

    def work(job: Job) -> Item:
        _check_name(job.source, job.place)
        info = audio.check(job.source)
        place, digest = job.place.as_posix(), sha256_of(job.source)
        return Item(place, "", "", info.seconds, info.sample_rate, info.channels, digest)

    results = list(jobs.run([Job(file, place, file, file) for file, place in found], work))
    return (
        [result for result in results if isinstance(result, Item)],
        [result for result in results if isinstance(result, Failure)],
    )


def _check_name(file: Path, place: Path) -> None:
    if not place.as_posix().isprintable():
        raise ExperimentError(f"{str(file)!r}: its name is not plain UTF-8 text; rename it")

"""Which sound files to learn from: a folder of them, or part of a manifest."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import product, takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from selfremaster.core import audio, manifests
from selfremaster.core.components import hint
from selfremaster.core.errors import AudioError, ExperimentError

SHOWN_NAMES = 12
MOST_APART_SECONDS = 0.05  # between the lengths of a pair: what codecs add


class Entry(NamedTuple):
    """A sound file to learn from, about how long it is, and what the manifest says of it."""

    path: Path
    seconds: float
    place: str = ""  # below the folder or that of the manifest, without suffix
    label: str = ""  # what the manifest says in the column asked for


def entries_from(
    folder: str | Path | None = None,
    manifest: str | Path | None = None,
    split: str | None = None,
    speakers: Sequence[str] | None = None,
    label: str | None = None,
    column: str | None = None,
) -> list[Entry]:
    """The sound files of a folder, or of a manifest's split and speakers, sorted by path.

    ``label`` names a column of the manifest, whose values go with the files. ``column`` names one
    with other files, relative to the folder of the manifest like its paths, that are meant instead:
    ``clean`` for the originals. They have the places of their rows. In a folder without a manifest,
    speakers are the folders at its top, and there are no splits, labels and columns.
    Raises `ExperimentError` when nothing is left, saying what there is, and for files that are
    not where the manifest says; `AudioError` for files without a readable header.
    """
    if (folder is None) == (manifest is None):
        raise ExperimentError("give a folder or a manifest to learn from: one of the two")
    if manifest is not None:
        read = manifests.read(manifest)
        return _from_manifest(read, str(manifest), split, speakers, label, column)
    for what, given in (("splits", split), ("labels", label), ("columns", column)):
        if given is not None:
            raise ExperimentError(
                f"{folder}: a folder has no {what}, and {given!r} is asked for; make a manifest of "
                f"it, or leave {what[:-1]} out"
            )
    try:
        found = audio.find_audio(str(folder))
    except AudioError as error:
        raise ExperimentError(str(error)) from None
    if speakers is not None:
        known = {place.parts[0] for _, place in found if len(place.parts) > 1}
        _check_known(f"{folder}: no speaker", speakers, known)
        found = [pair for pair in found if len(pair[1].parts) > 1 and pair[1].parts[0] in speakers]
    return [
        Entry(file, audio.inspect(file).seconds, place.with_suffix("").as_posix())
        for file, place in found
    ]


def paired(
    degraded: Sequence[Entry],
    clean: Sequence[Entry],
    where: str = "pairs",
    *,
    by_row: bool = False,
) -> tuple[list[Entry], list[Entry]]:
    """The recordings of which both versions are there, in the same order.

    They are matched by their paths; suffixes may differ, and the folders that all recordings, or
    all clean versions, lie in. ``by_row`` says that both come from the same rows of one manifest.
    Raises `ExperimentError` where a recording has no clean version, or one of another length.
    """
    matched = (
        list(zip(degraded, clean, strict=True)) if by_row else _matched(degraded, clean, where)
    )
    for one, other in matched:
        if abs(one.seconds - other.seconds) > MOST_APART_SECONDS:
            raise ExperimentError(
                f"{where}: {one.path} lasts {one.seconds:.2f} s and {other.path} "
                f"{other.seconds:.2f} s; pairs are the same speech from the same moment on"
            )
    return [one for one, _ in matched], [other for _, other in matched]


def _matched(
    degraded: Sequence[Entry], clean: Sequence[Entry], where: str
) -> list[tuple[Entry, Entry]]:
    lost: list[str] = []
    for mine, theirs in product(range(_common(degraded) + 1), range(_common(clean) + 1)):
        originals = _by_place(clean, theirs, where)
        places = _by_place(degraded, mine, where)
        missing = [place for place in places if place not in originals]
        if not missing:
            break
        lost = lost or missing
    else:
        raise ExperimentError(
            f"{where}: {len(lost)} of {len(degraded)} recordings have no clean version of the same "
            f"path: {_some(lost)}; put them there, or leave the recordings out"
        )
    return [(entry, originals[place]) for place, entry in places.items()]


def _common(entries: Sequence[Entry]) -> int:
    """How many folders the places of all begin with."""
    levels = zip(*(PurePosixPath(entry.place).parts[:-1] for entry in entries), strict=False)
    return sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))


def _by_place(entries: Sequence[Entry], dropped: int, where: str) -> dict[str, Entry]:
    """The entries by their places without the first folders."""
    found = {"/".join(PurePosixPath(one.place).parts[dropped:]): one for one in entries}
    if len(found) < len(entries):
        twice = [
            place for place, count in Counter(one.place for one in entries).items() if count > 1
        ]
        raise ExperimentError(
            f"{where}: {_some(twice)} is there with several suffixes; keep one of them"
        )
    return found


def _from_manifest(
    manifest: manifests.Manifest,
    name: str,
    split: str | None,
    speakers: Sequence[str] | None,
    label: str | None,
    column: str | None,
) -> list[Entry]:
    if split is not None:
        _check_known(f"{name}: no split", [split], manifest.splits())
    if speakers is not None:
        _check_known(f"{name}: no speaker", speakers, manifest.speakers())
    chosen = [
        item
        for item in manifest.items
        if (split is None or item.split == split) and (speakers is None or item.speaker in speakers)
    ]
    if not chosen:
        here = {item.speaker for item in manifest.items if split is None or item.split == split}
        raise ExperimentError(
            f"{name}: nothing of {', '.join(speakers or [])} in the split {split!r}, "
            f"which has {_some(sorted(here))}"
        )
    places = [item.path if column is None else _cell(item, column, name) for item in chosen]
    missing = [place for place in places if not (manifest.folder / place).is_file()]
    if missing:
        raise ExperimentError(
            f"{name}: {len(missing)} of {len(chosen)} files are not in {manifest.folder}: "
            f"{_some(missing)}; put them there, or make the manifest anew"
        )
    return [
        Entry(
            manifest.folder / place,
            (item.seconds if column is None else None)
            or audio.inspect(manifest.folder / place).seconds,
            PurePosixPath(item.path).with_suffix("").as_posix(),
            "" if label is None else _label(item, label, name),
        )
        for item, place in zip(chosen, places, strict=True)
    ]


def _cell(item: manifests.Item, column: str, name: str) -> str:
    """The file that a row names in a column of its own."""
    if column not in item.others:
        raise ExperimentError(
            f"{name}: no column {column!r} that names files; known: {_some(sorted(item.others))}; "
            "`selfremaster degrade --manifest` writes pairs with one"
        )
    if not item.others[column]:
        raise ExperimentError(
            f"{name}: {item.path} has nothing in the column {column!r}; fill it in"
        )
    return item.others[column]


def _label(item: manifests.Item, label: str, name: str) -> str:
    value = item.speaker if label == "speaker" else item.others.get(label, "")
    if not value:
        raise ExperimentError(
            f"{name}: {item.path} has nothing in the column {label!r}; fill it in"
        )
    return value


def number_labels(columns: Iterable[tuple[str | Path, str]]) -> dict[str, int]:
    """A number for every value in columns of manifests (path, column), whatever the split.

    Whole numbers stand for themselves; other values are numbered in their order.
    Raises `ExperimentError` for a column that is not there, or has only empty cells.
    """
    values: set[str] = set()
    for path, label in columns:
        items = manifests.read(path).items
        known = {column for item in items for column in item.others} | {"speaker"}
        _check_known(f"{path}: no column", [label], known)
        values |= {item.speaker if label == "speaker" else item.others[label] for item in items}
    values.discard("")
    if all(value.isdecimal() for value in values):
        return {value: int(value) for value in values}
    return {value: number for number, value in enumerate(sorted(values))}


def _check_known(what: str, given: Sequence[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            near = hint(name, known).partition(" known:")[0]
            raise ExperimentError(f"{what} {name!r}{near} known: {_some(sorted(known))}")
    if not given:
        raise ExperimentError(f"{what} is asked for; known: {_some(sorted(known))}")


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")

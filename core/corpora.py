"""Which sound files to learn from: a folder of them, or part of a manifest."""

from collections.abc import Collection, Sequence
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
    place: str = ""  # below the folder or manifest, without suffix
    label: int | None = None  # number of the value in the column asked for, among all, sorted


def entries_from(
    folder: str | Path | None = None,
    manifest: str | Path | None = None,
    split: str | None = None,
    speakers: Sequence[str] | None = None,
    label: str | None = None,
) -> list[Entry]:
    """The sound files of a folder, or of a manifest's split and speakers, sorted by path.

    ``label`` names a column of the manifest: each file gets the number of its value there. In a
    folder without a manifest, speakers are the folders at its top, and there are no splits.
    Raises `ExperimentError` when nothing is left, saying what there is, and for files that are
    not where the manifest says; `AudioError` for files without a readable header.
    """
    if (folder is None) == (manifest is None):
        raise ExperimentError("give a folder or a manifest to learn from: one of the two")
    if manifest is not None:
        read = manifests.read(manifest)
        return _from_manifest(read, str(manifest), split, speakers, label)
    for what, given in (("splits", split), ("labels", label)):
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
    degraded: Sequence[Entry], clean: Sequence[Entry], where: str = "pairs"
) -> tuple[list[Entry], list[Entry]]:
    """The recordings of which both versions are there, in the same order; suffixes may differ.

    Raises `ExperimentError` where a recording has no clean version, or one of another length.
    """
    originals = {entry.place: entry for entry in clean}
    lost = [entry.place for entry in degraded if entry.place not in originals]
    if lost:
        raise ExperimentError(
            f"{where}: {len(lost)} of {len(degraded)} recordings have no clean version of the same "
            f"path: {_some(lost)}; put them there, or leave the recordings out"
        )
    matched = [originals[entry.place] for entry in degraded]
    for one, other in zip(degraded, matched, strict=True):
        if abs(one.seconds - other.seconds) > MOST_APART_SECONDS:
            raise ExperimentError(
                f"{where}: {one.path} lasts {one.seconds:.2f} s and {other.path} "
                f"{other.seconds:.2f} s; pairs are the same speech from the same moment on"
            )
    return list(degraded), matched


def _from_manifest(
    manifest: manifests.Manifest,
    name: str,
    split: str | None,
    speakers: Sequence[str] | None,
    label: str | None,
) -> list[Entry]:
    labels = {} if label is None else _labels(manifest, name, label)
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
    missing = [item.path for item in chosen if not manifest.file(item).is_file()]
    if missing:
        raise ExperimentError(
            f"{name}: {len(missing)} of {len(chosen)} files are not in {manifest.folder}: "
            f"{_some(missing)}; put them there, or make the manifest anew"
        )
    return [
        Entry(
            file,
            item.seconds or audio.inspect(file).seconds,
            PurePosixPath(item.path).with_suffix("").as_posix(),
            labels.get(item.path),
        )
        for item, file in ((item, manifest.file(item)) for item in chosen)
    ]


def _labels(manifest: manifests.Manifest, name: str, label: str) -> dict[str, int]:
    """The number of each file's value in a column, by path: all files count, of whatever split."""
    columns = {column for item in manifest.items for column in item.others} | {"speaker"}
    _check_known(f"{name}: no column", [label], columns)
    values = {
        item.path: item.speaker if label == "speaker" else item.others.get(label, "")
        for item in manifest.items
    }
    numbers = {value: number for number, value in enumerate(sorted(set(values.values())))}
    return {path: numbers[value] for path, value in values.items()}


def _check_known(what: str, given: Sequence[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            near = hint(name, known).partition(" known:")[0]
            raise ExperimentError(f"{what} {name!r}{near} known: {_some(sorted(known))}")
    if not given:
        raise ExperimentError(f"{what} is asked for; known: {_some(sorted(known))}")


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")

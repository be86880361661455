"""Which sound files to learn from: a folder of them, or part of a manifest."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from selfremaster.core import audio, manifests
from selfremaster.core.components import hint
from selfremaster.core.errors import AudioError, ExperimentError

SHOWN_NAMES = 12


class Entry(NamedTuple):
    """A sound file to learn from, and about how long it is."""

    path: Path
    seconds: float


def entries_from(
    folder: str | Path | None = None,
    manifest: str | Path | None = None,
    split: str | None = None,
    speakers: Sequence[str] | None = None,
) -> list[Entry]:
    """The sound files of a folder, or of a manifest's split and speakers, sorted by path.

    In a folder without a manifest, speakers are the folders at its top, and there are no splits.
    Raises `ExperimentError` when nothing is left, saying what there is, and for files that are
    not where the manifest says; `AudioError` for files without a readable header.
    """
    if (folder is None) == (manifest is None):
        raise ExperimentError("give a folder or a manifest to learn from: one of the two")
    if manifest is not None:
        return _from_manifest(manifests.read(manifest), str(manifest), split, speakers)
    if split is not None:
        raise ExperimentError(
            f"{folder}: a folder has no splits, and {split!r} is asked for; make a manifest of it, "
            f"or leave split out"
        )
    try:
        found = audio.find_audio(str(folder))
    except AudioError as error:
        raise ExperimentError(str(error)) from None
    if speakers is not None:
        known = {place.parts[0] for _, place in found if len(place.parts) > 1}
        _check_known(f"{folder}: no speaker", speakers, known)
        found = [pair for pair in found if len(pair[1].parts) > 1 and pair[1].parts[0] in speakers]
    return [Entry(file, audio.inspect(file).seconds) for file, _ in found]


def _from_manifest(
    manifest: manifests.Manifest, name: str, split: str | None, speakers: Sequence[str] | None
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
    missing = [item.path for item in chosen if not manifest.file(item).is_file()]
    if missing:
        raise ExperimentError(
            f"{name}: {len(missing)} of {len(chosen)} files are not in {manifest.folder}: "
            f"{_some(missing)}; put them there, or make the manifest anew"
        )
    return [
        Entry(file, item.seconds or audio.inspect(file).seconds)
        for item, file in ((item, manifest.file(item)) for item in chosen)
    ]


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

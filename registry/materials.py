"""What adaptation learns from: speech cut out of one's recordings, and clean speech beside it."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from selfremaster.core import audio, manifests
from selfremaster.core.choices import evenly
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.files import real_path
from selfremaster.core.folders import find_audio
from selfremaster.core.pieces import (
    HEARD,
    HELD_OUT,
    MANIFEST_NAME,
    TRAIN,
    Piece,
    cut_pieces,
    draw_pieces,
    find_heard,
    find_pieces,
    held_out,
)
from selfremaster.core.surveys import (
    BETTER_SECONDS,
    ENOUGH_SECONDS,
    Survey,
    gather,
    survey_files,
)

SPEECH, CLEAN_NAME = "speech", "clean.csv"
VOICES = Path(__file__).with_name("voices")
"""Clean speech that comes with the package."""

MOST_MINUTES_OF_SPEECH = 60.0
MOST_HOURS_SURVEYED = 1.5  # of more sound so much is looked at, drawn evenly
FILES_SURVEYED = 6  # of very long ones so many are looked at in part, rather than fewer as a whole
MOST_CLEAN_FILES = 2000

Told = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many are."""


class CleanFile(NamedTuple):
    """A file of clean speech that can be read."""

    path: Path
    split: str
    seconds: float


class Material(NamedTuple):
    """What there is to learn from, before any of it is written."""

    survey: str  # in words
    notes: tuple[str, ...]
    pieces: tuple[Piece, ...]
    heard: tuple[Piece, ...]
    clean: tuple[CleanFile, ...]

    @property
    def to_cut(self) -> int:
        """How many files will be cut."""
        return len(self.pieces) + len(self.heard)


def find_recordings(paths: Sequence[Path], output: Path) -> list[Path]:
    """The recordings, but for what an earlier adaptation left among them.

    A file that is named counts wherever it lies, but for cut speech, which may be removed.
    """
    results = real_path(output)
    for path in paths:
        if path.is_dir() and real_path(path) == results:
            raise AudioError(f"{path}: holds the recordings themselves; name another output")
    named = {real_path(path) for path in paths if path.is_file()}
    named = {place for place in named if results / SPEECH not in place.parents}
    unique = {real_path(file): file for file, _ in find_audio(list(paths))}
    files = [
        file for place, file in unique.items() if place in named or results not in place.parents
    ]
    if not files:
        raise AudioError(f"{output}: holds all the recordings; name another output")
    return files


def find_material(files: Sequence[Path], output: Path, clean: Path | None, told: Told) -> Material:
    """Survey the recordings and look through the clean speech; nothing is written.

    Raises `AudioError` for too little speech, `ExperimentError` for too little clean speech.
    """
    clean_files, unread = find_clean(VOICES if clean is None else clean, output)
    chosen, part, about = _to_be_surveyed(files)
    results: list[Any] = []
    for number, result in enumerate(survey_files(chosen, part), start=1):
        results.append(result)
        told("surveying", number, len(chosen))
    survey = gather(results)
    _check_survey(survey)
    found = find_pieces(survey)
    pieces = draw_pieces(found, 60 * MOST_MINUTES_OF_SPEECH)
    notes = [f"left out: {failure.reason}" for failure in survey.failures]
    notes += [f"{one.source}: {told}" for one in survey.files for told in one.notes]
    notes += [*unread, *_advice(survey), *about]
    if len(pieces) < len(found):
        learned = sum(piece.seconds for piece in pieces) / 60
        notes.append(f"{learned:.0f} minutes of the speech are learned from, drawn evenly")
    heard = find_heard(survey)
    return Material(survey.words(), tuple(notes), tuple(pieces), tuple(heard), tuple(clean_files))


def write_material(material: Material, output: Path, sample_rate: int, told: Told) -> None:
    """Cut the speech out of the recordings, and list the clean speech."""
    folder = real_path(output)
    rows = [
        manifests.Item(_relative(one.path, folder), one.split, seconds=one.seconds)
        for one in material.clean
    ]
    rows.sort(key=lambda item: item.path)
    manifests.write(manifests.Manifest(output, tuple(rows)), output / CLEAN_NAME)
    cut_pieces(
        material.pieces,
        material.heard,
        output / SPEECH,
        sample_rate,
        lambda done, count: told("cutting speech", done, count),
    )


def _to_be_surveyed(files: Sequence[Path]) -> tuple[list[Path], float, list[str]]:
    """The files to look at, how much of each, and what is to be said of that; all, if short."""
    lengths = {file: _seconds(file) for file in files}
    budget, whole = 3600 * MOST_HOURS_SURVEYED, sum(lengths.values())
    if whole <= budget:
        return list(files), 1.0, []
    count = max(math.ceil(len(files) * budget / whole), min(len(files), FILES_SURVEYED))
    chosen = evenly(files, count)
    seconds = sum(lengths[file] for file in chosen)
    part = min(budget / seconds, 1.0) if seconds else 1.0
    about = []
    if len(chosen) < len(files):
        about.append(f"{len(chosen)} of {len(files)} files were looked at, drawn evenly")
    if part < 1:
        looked = f"{part * seconds / 3600:.1f} of their {seconds / 3600:.1f} hours"
        about.append(f"{looked} were looked at, half a minute here and there")
    return chosen, part, about


def _seconds(file: Path) -> float:
    try:
        return audio.inspect(file, strict=False).seconds
    except AudioError:
        return 0.0


def _check_survey(survey: Survey) -> None:
    """Raise where learning cannot work."""
    if not survey.files:
        first = survey.failures[0].reason
        more = len(survey.failures) - 1
        raise AudioError(first + (f"; nor can {more} more files be read" if more else ""))
    if survey.speech_seconds < ENOUGH_SECONDS:
        raise AudioError(survey.problems()[0])


def _advice(survey: Survey) -> list[str]:
    notes = list(survey.problems())
    if survey.speech_seconds < BETTER_SECONDS:
        notes.append("less than ten minutes of speech: it will do, more would do better")
    return notes


def find_clean(source: Path, output: Path) -> tuple[list[CleanFile], list[str]]:
    """The clean speech that can be read, every tenth file of it held out, and what cannot be.

    A manifest keeps its own splits, where it has those for learning and for holding out. Raises
    `ExperimentError` where less than two files are left, and for what is no manifest.
    """
    known: list[CleanFile] = []
    reasons: list[str] = []
    for file, split in _listed(source, real_path(output)):
        try:
            known.append(CleanFile(file, split, audio.inspect(file).seconds))
        except AudioError as error:
            reasons.append(str(error))
    if not known:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise ExperimentError(f"{reasons[0]}{more}; give other clean speech")
    if {one.split for one in known} != {TRAIN, HELD_OUT}:
        known = _parted(known)
    rest = f" (and {len(reasons) - 1} more of the clean speech)" if len(reasons) > 1 else ""
    return known, [f"left out: {reasons[0]}{rest}"] if reasons else []


def _listed(source: Path, results: Path) -> list[tuple[Path, str]]:
    """Files of clean speech with their splits, but for what an adaptation left among them."""
    if source.is_file() and source.suffix.lower() == ".csv":
        listed = manifests.read(source)
        parted = {TRAIN, HELD_OUT} <= {item.split for item in listed.items}
        rows = [
            (listed.file(item), item.split)
            for item in listed.items
            if not parted or item.split in (TRAIN, HELD_OUT)
        ]
        return _foreign(rows, results / SPEECH, source)  # what is listed may lie beside it
    found = [(file, "") for file, _ in find_audio(source)]
    return evenly(_foreign(found, results, source), MOST_CLEAN_FILES)


def _foreign(
    files: Sequence[tuple[Path, str]], results: Path, source: Path
) -> list[tuple[Path, str]]:
    """The files that do not lie among results; raises without any."""
    foreign = [one for one in files if results not in real_path(one[0]).parents]
    if not foreign:
        raise ExperimentError(f"{source}: holds nothing but results; give other clean speech")
    return foreign


def _parted(files: Sequence[CleanFile]) -> list[CleanFile]:
    chosen = evenly(files, MOST_CLEAN_FILES)
    if len(chosen) < 2:
        raise ExperimentError(
            f"{chosen[0].path}: one file of clean speech; give a folder of two or more, so that "
            "one can be held out"
        )
    kept = held_out(len(chosen))
    return [
        one._replace(split=HELD_OUT if index in kept else TRAIN) for index, one in enumerate(chosen)
    ]


def _relative(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(real_path(file), folder)).as_posix()


def judged_waves(output: Path, peak_db: float) -> list[Tensor]:
    """What the criterion listens to, (samples,) each, at the peak level of the model."""
    manifest = manifests.read(output / SPEECH / MANIFEST_NAME)
    waves = []
    for item in manifest.items:
        if item.split == HEARD:
            wave, _ = audio.read(manifest.file(item))
            waves.append(audio.normalise_peak(wave[0], peak_db))
    return waves

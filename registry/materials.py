"""What adaptation learns from: speech cut out of one's recordings, and clean speech beside it."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from selfremaster.core import audio, manifests
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.folders import find_audio
from selfremaster.core.pieces import (
    HEARD,
    HELD_OUT,
    MANIFEST_NAME,
    TRAIN,
    cut_pieces,
    evenly,
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
MOST_HOURS_SURVEYED = 1.5  # of very many recordings so much is looked at, drawn evenly
MOST_CLEAN_FILES = 2000

Told = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many are."""


def find_recordings(paths: Sequence[Path], output: Path) -> list[Path]:
    """The recordings, but for what an earlier adaptation left among them."""
    results = output.resolve()
    for path in paths:
        if path.is_dir() and path.resolve() == results:
            raise AudioError(f"{path}: holds the recordings themselves; name another output")
    named = {path.resolve() for path in paths if path.is_file()}
    unique = {file.resolve(): file for file, _ in find_audio(list(paths))}
    files = [
        file for place, file in unique.items() if place in named or results not in place.parents
    ]
    if not files:
        raise AudioError(f"{output}: holds all the recordings; name another output")
    return files


def gather_material(
    files: Sequence[Path], output: Path, sample_rate: int, clean: Path | None, told: Told
) -> dict[str, Any]:
    """Survey the recordings, and write the speech that is learned from."""
    chosen = _surveyed(files)
    results: list[Any] = []
    for number, result in enumerate(survey_files(chosen), start=1):
        results.append(result)
        told("surveying", number, len(chosen))
    survey = gather(results)
    _check_survey(survey)
    pieces = find_pieces(survey)
    most = 60 * MOST_MINUTES_OF_SPEECH
    cut = cut_pieces(
        pieces,
        find_heard(survey),
        output / SPEECH,
        sample_rate,
        most,
        lambda done, count: told("cutting speech", done, count),
    )
    _write_clean(VOICES if clean is None else clean, output)
    notes = [f"left out: {failure.reason}" for failure in survey.failures]
    notes += _advice(survey)
    if len(chosen) < len(files):
        notes.append(f"{len(chosen)} of {len(files)} files were looked at, drawn evenly")
    learned_from = [item for item in cut.items if item.split != HEARD]
    if len(learned_from) < len(pieces):
        learned = sum(item.seconds or 0.0 for item in learned_from) / 60
        notes.append(f"{learned:.0f} minutes of the speech are learned from, drawn evenly")
    return {"survey": survey.words(), "notes": notes}


def _surveyed(files: Sequence[Path]) -> list[Path]:
    """The files to look at: all, or if they are very long together, some."""
    lengths = []
    for file in files:
        try:
            lengths.append(audio.inspect(file).seconds)
        except AudioError:
            lengths.append(0.0)
    part = 3600 * MOST_HOURS_SURVEYED / max(sum(lengths), 1.0)
    return evenly(files, max(math.ceil(len(files) * min(part, 1.0)), 1))


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


def _write_clean(source: Path, output: Path) -> None:
    """List the clean speech, with every tenth file held out; a manifest keeps its own splits."""
    if source.is_file() and source.suffix.lower() == ".csv":
        listed = manifests.read(source)
        items = [(listed.file(item), item.split) for item in listed.items]
        if {TRAIN, HELD_OUT} <= {split for _, split in items}:
            items = [pair for pair in items if pair[1] in (TRAIN, HELD_OUT)]
        else:
            items = _parted([file for file, _ in items])
    else:
        items = _parted([file for file, _ in find_audio(source)])
    missing = [file for file, _ in items if not file.is_file()]
    if missing:
        raise ExperimentError(f"{source}: {missing[0]} is not there; put it there, or list others")
    folder = output.resolve()
    rows = [
        manifests.Item(_relative(file, folder), split, seconds=audio.inspect(file).seconds)
        for file, split in items
    ]
    rows.sort(key=lambda item: item.path)
    manifests.write(manifests.Manifest(output, tuple(rows)), output / CLEAN_NAME)


def _parted(files: Sequence[Path]) -> list[tuple[Path, str]]:
    chosen = evenly(files, MOST_CLEAN_FILES)
    if len(chosen) < 2:
        raise ExperimentError(
            f"{chosen[0]}: one file of clean speech; give a folder of two or more, so that one can "
            "be held out"
        )
    kept = held_out(len(chosen))
    return [(file, HELD_OUT if index in kept else TRAIN) for index, file in enumerate(chosen)]


def _relative(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(file.resolve(), folder)).as_posix()


def judged_waves(output: Path, peak_db: float) -> list[Tensor]:
    """What the criterion listens to, (samples,) each, at the peak level of the model."""
    manifest = manifests.read(output / SPEECH / MANIFEST_NAME)
    waves = []
    for item in manifest.items:
        if item.split == HEARD:
            wave, _ = audio.read(manifest.file(item))
            waves.append(audio.normalise_peak(wave[0], peak_db))
    return waves

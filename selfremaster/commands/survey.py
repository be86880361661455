"""`selfremaster survey`: what recordings are like, before anything is done with them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Quiet
from selfremaster.commands.terminal import (
    finish,
    note_left,
    note_remarks,
    say,
    say_json,
    say_table,
    work_through,
)

if TYPE_CHECKING:
    from selfremaster.core.surveys import FileSurvey, Survey

HEADINGS = (
    "file",
    "#seconds",
    "#of speech",
    "#LUFS",
    "#peak dBFS",
    "#low Hz",
    "#cut-off Hz",
    "#clipped %",
    "#noise dB",
    "#hum Hz",
    "#rate Hz",
    "kept as",
)


def survey(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="RECORDING", help="Sound files or folders of them.")
    ],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Tell how much speech recordings hold, and how good they are.

    For each file and for all: speech, loudness and peak, where the sound begins and ends, what is
    clipped, how far the noise lies from the speech (dB), hum; then what stands in the way of
    learning from them.
    """
    from selfremaster.core import surveys
    from selfremaster.core.folders import find_audio, other_files, tally

    files = list({os.path.realpath(file): file for file, _ in find_audio(recordings)}.values())
    done, failures = work_through(
        surveys.survey_files(files), len(files), quiet, "surveying", "surveyed"
    )
    note_remarks(done, quiet)
    left = tally(place for _, place in other_files(recordings))
    note_left(left, quiet)
    told = surveys.gather([*done, *failures])
    if as_json:
        say_json(_as_json(told) | {"left_alone": left})
    elif done:
        if not quiet:
            say_table(HEADINGS, [_row(one) for one in done])
        say(told.words())
        for problem in told.problems():
            say(problem)
    finish(failures, len(files))


def _row(one: FileSurvey) -> list[str]:
    return [
        str(one.source),
        f"{one.seconds:.1f}",
        f"{one.speech_seconds:.1f}",
        _number(one.loudness_lufs, ".1f"),
        _number(one.peak_dbfs, ".1f"),
        _number(one.low_hz, ".0f"),
        _number(one.cutoff_hz, ".0f"),
        f"{100 * one.clipped_share:.2f}",
        _number(-one.snr_db, ".1f"),
        _number(one.hum_hz, ".0f"),
        str(one.sample_rate),
        f"{one.channels} x {one.subtype}",
    ]


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "-"


def _as_json(told: Survey) -> dict[str, Any]:
    return {
        "files": [vars(one) for one in told.files],
        "total": {
            "files": len(told.files),
            "seconds": told.seconds,
            "speech_seconds": told.speech_seconds,
            "cutoff_hz": told.cutoff_hz,
            "clipped_share": told.clipped_share,
            "snr_db": told.snr_db,
            "words": told.words(),
            "problems": told.problems(),
        },
        "failed": [{"input": item.source, "reason": item.reason} for item in told.failures],
    }

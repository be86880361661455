"""The folder of an adaptation: what in it is ours, what it was begun with, and how it is freed."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfremaster.core import manifests
from selfremaster.core.bundles import BUNDLE_NAME
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.errors import ExperimentError
from selfremaster.core.files import write_atomically
from selfremaster.core.jobs import check_writable
from selfremaster.core.pieces import MANIFEST_NAME, piece_name
from selfremaster.core.runlogs import BOARD_NAME, CSV_NAME
from selfremaster.core.training import EXPERIMENT_NAME
from selfremaster.registry.materials import CLEAN_NAME, SPEECH

SETTINGS_NAME = "adaptation.json"
OURS = (CLEAN_NAME, CHECKPOINT_NAME, CSV_NAME, EXPERIMENT_NAME, BUNDLE_NAME)
"""Files of an adaptation, besides its report, its settings, and what lies in folders."""

PIECE = re.compile(r"0*([1-9]\d{0,8})\.flac")
EVENTS = "events.out.tfevents.*"

WORDS = {
    "recordings": "recordings",
    "clean": "--clean",
    "model": "--model",
    "measured": "metrics of quality",
}
"""What a run hangs on, in words."""


@dataclass(frozen=True)
class Kept:
    """``adaptation.json``: what an adaptation was given, and what it found."""

    given: Mapping[str, Any]
    pieces: int = 0  # files of speech that were cut, or were to be
    survey: str | None = None  # none before all of them are
    notes: tuple[str, ...] = ()

    def write(self, output: Path) -> None:
        """Write it into the folder, whole or not at all."""
        with write_atomically(output / SETTINGS_NAME) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2), encoding="ascii")


def claim(
    output: Path,
    given: Mapping[str, Any],
    beside: Sequence[str] = (),
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> Kept | None:
    """Make sure that the folder may be written into; nothing is changed.

    Gives what is known of an adaptation that is to go on (``resume``). One that never came to
    learning is begun anew, and one that may go (``overwrite``) as well.
    Raises `ExperimentError` for a folder in which something else lies that would be written, and
    for an adaptation that was given something else, and `AudioError` for a folder that cannot be
    written into.
    """
    if output.exists() and not output.is_dir():
        raise ExperimentError(f"{output}: is a file; name a folder for the model and its report")
    check_writable(output)
    names = (SETTINGS_NAME, *OURS, SPEECH, BOARD_NAME, *beside)
    for name in names:
        if (output / name).is_symlink():
            raise ExperimentError(
                f"{output / name}: is a link, and nothing is written where it leads; remove it, or "
                "name another folder"
            )
    there = [name for name in names if (output / name).exists()]
    if not there:
        return None
    if SETTINGS_NAME not in there:
        raise ExperimentError(
            f"{output}: {', '.join(there)} {'are' if there[1:] else 'is'} there, and no "
            f"{SETTINGS_NAME} says that an adaptation wrote {'them' if there[1:] else 'it'}; "
            f"remove {'them' if there[1:] else 'it'}, if nothing of yours, or name another folder"
        )
    known = _read(output)
    if overwrite or (known is not None and known.survey is None):
        return None
    if known is None:
        raise ExperimentError(
            f"{output / SETTINGS_NAME}: is damaged; begin anew with --overwrite, or name another "
            "folder"
        )
    if not resume:
        raise ExperimentError(
            f"{output}: holds an adaptation already; go on with --resume, begin anew with "
            "--overwrite, or name another folder"
        )
    for name, words in WORDS.items():
        if known.given.get(name) != given[name]:
            raise ExperimentError(
                f"{output}: was begun with other {words}; give the same, or begin anew with "
                "--overwrite"
            )
    return known


def begin(output: Path, given: Mapping[str, Any], pieces: int, beside: Sequence[str] = ()) -> None:
    """Free a folder that was claimed of what is ours in it, and of nothing else.

    It says first whose it is, so that it is known as ours at whatever moment all ends. Raises
    `ExperimentError` for a file of somebody else where a piece of speech is to lie.
    """
    known = _read(output)
    speech = output / SPEECH
    ours = _cut_before(speech, 0 if known is None else known.pieces)
    wanted = {MANIFEST_NAME, *(piece_name(number + 1) for number in range(pieces))}
    foreign = sorted(name for name in wanted - ours if (speech / name).exists())
    if foreign:
        raise ExperimentError(
            f"{speech / foreign[0]}: is there, and not of an adaptation; name another folder"
        )
    most = max(pieces, 0 if known is None else known.pieces)
    Kept(given=dict(given), pieces=most).write(output)
    board = output / BOARD_NAME
    files = [output / name for name in (*OURS, *beside)]
    files += [speech / name for name in ours]
    files += [place for place in board.glob(EVENTS) if place.is_file()]
    for file in files:
        file.unlink(missing_ok=True)
    for folder in (speech, board):
        with suppress(OSError):  # what others left there stays
            folder.rmdir()


def _cut_before(speech: Path, count: int) -> set[str]:
    """The files that an adaptation wrote: so many pieces, those that are listed, and the list."""
    listed: set[str] = set()
    with suppress(ExperimentError):
        listed = {item.path for item in manifests.read(speech / MANIFEST_NAME).items}
    found = {MANIFEST_NAME} if (speech / MANIFEST_NAME).is_file() else set()
    for file in speech.iterdir() if speech.is_dir() else ():
        number = PIECE.fullmatch(file.name)
        if number and (file.name in listed or int(number[1]) <= count):
            found.add(file.name)
    return found


def _read(output: Path) -> Kept | None:
    """What was kept; none where there is nothing, or it is damaged."""
    try:
        told = json.loads((output / SETTINGS_NAME).read_text(encoding="ascii"))
        survey = told["survey"]
        return Kept(
            dict(told["given"]),
            int(told["pieces"]),
            None if survey is None else str(survey),
            tuple(str(note) for note in told["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None

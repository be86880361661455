"""The answers of listeners: read, checked against the key, and laid out as ratings or votes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, Field, ValidationError

from selfremaster.benchmarks.listening.designs import Clip, Key, Kind, Role, Test, Trial
from selfremaster.benchmarks.records import Record
from selfremaster.core.components import describe
from selfremaster.core.errors import ExperimentError

OPINIONS = (1.0, 2.0, 3.0, 4.0, 5.0)
LISTENER = r"^\w[\w .@-]{0,79}$"  # no Markdown, no formula for a spreadsheet, no path
LARGEST_BYTES = 20_000_000
HEARD_SECONDS = 1.0  # of each sound of a mushra page, at least


class SoundCheck(Record):
    """How a listener got through the sound check."""

    device: Literal["headphones", "earphones", "speakers"] | None = None
    attempts: int = 0
    passed: bool = False


class Answer(Record):
    """What a listener said on one page."""

    trial: int
    shown: AwareDatetime
    ready: AwareDatetime | None = None  # when all had been heard
    answered: AwareDatetime
    clips: tuple[str, ...]
    plays: tuple[int, ...]
    heard: tuple[int, ...]
    reference_plays: int | None = None
    ratings: tuple[float, ...] | None = None
    choice: Literal["A", "B", "none"] | None = None


class Session(Record):
    """A listener's file of answers."""

    format: Literal["selfremaster-listening-answers-1"]
    test_id: str
    test: Test
    listener: Annotated[str, Field(pattern=LISTENER)]
    playlist: int  # from 1
    started: AwareDatetime
    finished: AwareDatetime
    sound_check: SoundCheck
    answers: tuple[Answer, ...]
    browser: dict[str, Any] = Field(default_factory=dict)


class Skipped(NamedTuple):
    """A file that is not analysed, and why."""

    path: Path
    reason: str


class Rating(NamedTuple):
    """A number that a listener gave a sound, or for a vote the share of it: 1, 0.5 or 0."""

    listener: str
    playlist: int
    trial: int
    role: Role
    repeats: int | None
    kind: Kind
    label: str
    against: str  # the other side of a vote
    sentence: str
    condition: str
    speaker: str
    value: float
    plays: int
    seconds: float  # from when all had been heard to the answer


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Every file that is named, and every .json in folders; raises `ExperimentError` for none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*.json") if not file.name.startswith("."))
        elif path.is_file():
            found.append(path)
        else:
            raise ExperimentError(f"{path}: no such file or folder; check the path")
    files = list(dict.fromkeys(found))
    if not files:
        named = ", ".join(map(str, paths)) or "nothing given"
        raise ExperimentError(f"no answers to analyse ({named}); give the .json files of listeners")
    return files


def read_sessions(
    files: Sequence[Path], key: Key, key_file: Path | None = None
) -> tuple[list[Session], list[Skipped]]:
    """Every listener's answers, and the files that are damaged, of another test, or there twice.

    The key itself is passed over. Raises `ExperimentError` when nothing is left.
    """
    sessions: list[Session] = []
    skipped: list[Skipped] = []
    seen: dict[str, Path] = {}
    for path in files:
        if key_file is not None and path.exists() and path.samefile(key_file):
            continue
        try:
            session = _read(path)
            _check(session, key)
            other = seen.get(session.listener)
            if other is not None:
                raise ValueError(f"listener {session.listener} is in {other} already")
        except (ValueError, OSError) as error:
            skipped.append(Skipped(path, _reason(error)))
            continue
        seen[session.listener] = path
        sessions.append(session)
    if not sessions:
        first = f"{skipped[0].path}: {skipped[0].reason}" if skipped else "no file but the key"
        more = f", and {len(skipped) - 1} more files" if len(skipped) > 1 else ""
        raise ExperimentError(f"no answers to this test; {first}{more}")
    return sessions, skipped


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"not a file of answers ({describe(error)[:120]})"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return " ".join(str(error).split())


def _read(path: Path) -> Session:
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError("not a file of answers (too large)")
    try:
        return Session.model_validate_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not a file of answers (not text)") from None


def _check(session: Session, key: Key) -> None:
    """Raise `ValueError` unless these are whole answers to the test of the key."""
    if session.test_id != key.id:
        raise ValueError(
            f"answers to another test ({session.test} {session.test_id}, the key is of "
            f"{key.test} {key.id})"
        )
    if not 1 <= session.playlist <= len(key.playlists):
        raise ValueError(f"playlist {session.playlist}; there are {len(key.playlists)}")
    trials = key.playlists[session.playlist - 1]
    if len(session.answers) != len(trials):
        raise ValueError(f"{len(session.answers)} of {len(trials)} trials are answered")
    for number, (answer, trial) in enumerate(zip(session.answers, trials, strict=True)):
        counts = {len(trial.clips), len(answer.plays), len(answer.heard)}
        if answer.trial != number or answer.clips != trial.clips or len(counts) > 1:
            raise ValueError(f"trial {number + 1} is not that of the playlist")
        _check_answer(answer, number, key)


def _check_answer(answer: Answer, number: int, key: Key) -> None:
    if key.test == "preference":
        if answer.choice is None or (answer.choice == "none" and not key.settings["ties"]):
            raise ValueError(f"trial {number + 1}: choice {answer.choice} is not one of the test")
        return
    ratings = answer.ratings or ()
    if len(ratings) != len(answer.clips):
        raise ValueError(f"trial {number + 1}: {len(ratings)} ratings of {len(answer.clips)}")
    for rating in ratings:
        fits = 0 <= rating <= 100 if key.test == "mushra" else rating in OPINIONS
        if not fits:
            raise ValueError(f"trial {number + 1}: a rating of {rating:g} is not on the scale")


def ratings_of(sessions: Iterable[Session], key: Key) -> list[Rating]:
    """All numbers that were given, practice left out; of a vote one for each side."""
    ratings: list[Rating] = []
    for session in sessions:
        trials = key.playlists[session.playlist - 1]
        for answer, trial in zip(session.answers, trials, strict=True):
            if trial.role != "practice":
                ratings += _ratings_of_trial(session, answer, trial, key)
    return ratings


def _ratings_of_trial(session: Session, answer: Answer, trial: Trial, key: Key) -> list[Rating]:
    clips = [key.clips[name] for name in trial.clips]
    values = _shares(answer) if key.test == "preference" else answer.ratings or ()
    return [
        Rating(
            session.listener,
            session.playlist,
            answer.trial,
            trial.role,
            trial.repeats,
            clip.kind,
            clip.label,
            clips[1 - place].label if key.test == "preference" else "",
            clip.sentence,
            key.sentences[clip.sentence].condition,
            key.sentences[clip.sentence].speaker,
            values[place],
            answer.plays[place],
            round(decided_in(answer), 3),
        )
        for place, clip in enumerate(clips)
    ]


def _shares(answer: Answer) -> tuple[float, float]:
    return {"A": (1.0, 0.0), "B": (0.0, 1.0)}.get(answer.choice or "", (0.5, 0.5))


def decided_in(answer: Answer) -> float:
    """Seconds from when all had been heard to the answer."""
    return _seconds(answer.ready or answer.shown, answer.answered)


def too_fast(answer: Answer, trial: Trial, key: Key) -> bool:
    """Whether a page was answered in less time than its sounds take."""
    shown: list[Clip] = [key.clips[name] for name in trial.clips]
    if trial.reference:
        shown.append(key.clips[trial.reference])
    lengths = [clip.seconds for clip in shown]
    if key.test == "mushra":
        lengths = [min(HEARD_SECONDS, length) for length in lengths]
    return _seconds(answer.shown, answer.answered) < 0.8 * sum(lengths)


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()

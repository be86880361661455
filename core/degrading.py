"""Damage sound files on purpose, with a log beside each from which the damage is had again."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Generator, Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.components import describe
from selfremaster.core.errors import ComponentError
from selfremaster.core.files import write_atomically
from selfremaster.core.interfaces import Degradation
from selfremaster.core.jobs import Failure, Job

LOG_SUFFIX = ".json"
FULL_SCALE = 1.0


class Applied(BaseModel):
    """One degradation as it was applied: its name, its settings, and what was drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    degradation: str
    settings: dict[str, Any]
    parameters: dict[str, Any]


class DamageLog(BaseModel):
    """What was done to a wave, enough to do it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    sample_rate: int  # Hz
    seed: int | None  # none: replayed from a log
    degradations: tuple[Applied, ...]
    gain: float = 1.0  # applied last, so that the result stays within full scale


class Step(NamedTuple):
    """A degradation under its name; what it draws, unless it is given."""

    name: str
    part: Degradation
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Degraded:
    """A file that was damaged, and its log."""

    source: Path
    target: Path
    log_file: Path
    log: DamageLog


def degrade(
    wave: Tensor, sample_rate: int, steps: Sequence[Step], generator: Generator
) -> tuple[Tensor, tuple[Applied, ...], float]:
    """Damage a wave step by step; gives it with what was applied, and the gain that came last.

    All channels get the same damage. A result beyond full scale is made softer as a whole.

    Shape: (channels, samples) -> (channels, samples), rate in Hz.
    """
    damaged = wave
    applied = []
    for name, part, given in steps:
        drawn = part.draw(generator, sample_rate) if given is None else dict(given)
        try:
            damaged = part.apply(damaged, drawn, sample_rate)
        except ComponentError as error:
            raise ComponentError(f"degradation {name}: {error}") from None
        settings = part.config.model_dump(mode="json")
        applied.append(Applied(degradation=name, settings=settings, parameters=drawn))
    peak = float(damaged.abs().max())
    gain = FULL_SCALE / peak if peak > FULL_SCALE else 1.0
    return damaged * gain if gain < 1 else damaged, tuple(applied), gain


def degrade_files(
    planned: Sequence[Job], steps: Sequence[Step], seed: int | None = 0
) -> Iterator[Degraded | Failure]:
    """Damage one file after another, and give what came of each, with a JSON log beside each.

    What is drawn for a file follows from the seed and its place in the folder alone. Without a
    seed every step must have its parameters.
    """
    if seed is None and any(step.parameters is None for step in steps):
        raise ComponentError("a degradation without parameters draws them; give a seed")
    return jobs.run(planned, partial(_degrade, tuple(steps), seed))


def _degrade(steps: Sequence[Step], seed: int | None, job: Job) -> Degraded:
    info = audio.inspect(job.source)
    clean, sample_rate = audio.read(job.source)
    damaged, applied, gain = degrade(
        clean, sample_rate, steps, generator_for(seed or 0, job.place.as_posix())
    )
    log = DamageLog(
        source=job.place.as_posix().encode("utf-8", "backslashreplace").decode(),
        sample_rate=sample_rate,
        seed=seed,
        degradations=applied,
        gain=gain,
    )
    log_file = job.beside(LOG_SUFFIX)
    with write_atomically(log_file) as temporary:  # the log is there when its sound is, or neither
        temporary.write_text(log_text(log), encoding="utf-8")
        audio.write(job.target, damaged, sample_rate, like=info)
    return Degraded(job.source, job.target, log_file, log)


def generator_for(seed: int, place: str) -> Generator:
    """The chance of one file: a function of the seed and of where the file lies."""
    named = f"{seed}/{unicodedata.normalize('NFC', place)}"
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


def log_text(log: DamageLog) -> str:
    """The log as JSON that `read_log` reads back."""
    try:
        return json.dumps(log.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ComponentError(f"what was drawn is not JSON: {error}") from None


def read_log(path: Path) -> DamageLog:
    """Read a log; raises `ComponentError` for a file that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ComponentError(
            f"{path}: no such file; name the JSON beside a degraded file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(f"{path}: cannot be read as text ({type(error).__name__})") from None
    try:
        return DamageLog.model_validate_json(text)
    except ValidationError as error:
        first = describe(error, DamageLog).partition("; ")[0]
        raise ComponentError(
            f"{path}: not a log that `selfremaster degrade` wrote: {first}"
        ) from None

"""Damage sound files on purpose, with a log beside each from which the damage is had again."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Generator, Tensor
from torch.linalg import vector_norm

from selfremaster.core import audio, jobs
from selfremaster.core.components import describe
from selfremaster.core.errors import ComponentError
from selfremaster.core.files import write_atomically
from selfremaster.core.interfaces import Degradation, Parameters
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.parallel import one_thread

LOG_SUFFIX = ".json"
FULL_SCALE = 1.0
LARGEST_GAIN = 1e6  # what is all but gone is not blown up

Level = Literal["limit", "match"] | Annotated[float, Field(ge=-120, le=0)]
"""How loud a result is: as it comes but within full scale ("limit"); as loud as the input (its RMS)
and within full scale ("match"); or with its peak at a level in dBFS."""


class Applied(BaseModel):
    """One degradation as it was applied: its name, its settings, and what was drawn.

    The parameters are those of all channels, or a list of those of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    degradation: str
    settings: dict[str, Any]
    parameters: dict[str, Any] | list[dict[str, Any]]


class DamageLog(BaseModel):
    """What was done to a wave, enough to do it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    sample_rate: int  # Hz
    seed: int | None  # none: replayed from a log
    degradations: tuple[Applied, ...]
    level: Level = "limit"
    gain: float = 1.0  # applied last, and what came of the level


class Step(NamedTuple):
    """A degradation under its name; what it draws, unless it is given: for all, or each channel."""

    name: str
    part: Degradation
    parameters: Parameters | Sequence[Parameters] | None = None


class Recipe(NamedTuple):
    """What is to be done with a file: the damage, and then the level."""

    steps: tuple[Step, ...]
    level: Level = "limit"


@dataclass(frozen=True)
class Degraded:
    """A file that was damaged, and its log."""

    source: Path
    target: Path
    log_file: Path
    log: DamageLog


def degrade(
    wave: Tensor,
    sample_rate: int,
    steps: Sequence[Step],
    generator: Generator,
    level: Level = "limit",
) -> tuple[Tensor, tuple[Applied, ...], float]:
    """Damage a wave step by step; gives it with what was applied, and the gain that came last.

    Each channel gets the parameters that a degradation draws for it, which are the same for most.

    Shape: (channels, samples) -> (channels, samples), rate in Hz.
    Raises `ComponentError` for parameters that are bad, or of another number of channels.
    """
    damaged = wave
    applied = []
    for step in steps:
        try:
            drawn = _parameters(step, generator, sample_rate, len(wave))
            damaged = step.part.apply(damaged, drawn, sample_rate)
        except ComponentError as error:
            raise ComponentError(f"degradation {step.name}: {error}") from None
        settings = step.part.config.model_dump(mode="json")
        applied.append(Applied(degradation=step.name, settings=settings, parameters=drawn))
    gain = _gain(wave, damaged, level)
    return damaged if gain == 1 else damaged * gain, tuple(applied), gain


def _parameters(
    step: Step, generator: Generator, sample_rate: int, channels: int
) -> dict[str, Any] | list[dict[str, Any]]:
    """What is drawn or given: one mapping where it is the same for all channels."""
    given = step.parameters
    if isinstance(given, Mapping):
        return dict(given)
    if given is not None and len(given) != channels:
        raise ComponentError(
            f"parameters of {len(given)} channels for a recording of {channels}; replay them on "
            f"one of {len(given)}, or draw anew"
        )
    each = step.part.draw_channels(generator, sample_rate, channels) if given is None else given
    if each and all(own == each[0] for own in each[1:]):
        return dict(each[0])
    return [dict(own) for own in each]


def _gain(wave: Tensor, damaged: Tensor, level: Level) -> float:
    peak = float(damaged.abs().max())
    if not isinstance(level, str):
        return audio.peak_gain(peak, level)
    gain = 1.0
    if level == "match":
        before, after = (
            float(vector_norm(sound, dtype=torch.float64)) for sound in (wave, damaged)
        )
        gain = min(before / after, LARGEST_GAIN) if before > 0 and after > 0 else 1.0
    return FULL_SCALE / peak if gain * peak > FULL_SCALE else gain


def degrade_files(
    planned: Sequence[Job],
    steps: Sequence[Step],
    seed: int | None = 0,
    *,
    level: Level = "limit",
    processes: int = 1,
) -> Iterator[Degraded | Failure]:
    """Damage file after file alike, and give what came of each, with a JSON log beside each.

    What is drawn for a file follows from the seed and its place in the folder alone, and so does
    the result, however many processes there are. Without a seed every step must have its
    parameters.
    """
    if seed is None and any(step.parameters is None for step in steps):
        raise ComponentError("a degradation without parameters draws them; give a seed")
    recipe = Recipe(tuple(steps), level)
    tasks = [Task(job, recipe, seed) for job in planned]
    return jobs.run(tasks, _degrade, processes)


def replay_files(
    planned: Sequence[Job], recipes: Sequence[Recipe], *, processes: int = 1
) -> Iterator[Degraded | Failure]:
    """Damage each file by a recipe of its own, of which all parameters are known."""
    tasks = [Task(job, recipe, None) for job, recipe in zip(planned, recipes, strict=True)]
    return jobs.run(tasks, _degrade, processes)


class Task(NamedTuple):
    """A file, and what is to be done with it."""

    job: Job
    recipe: Recipe
    seed: int | None

    @property
    def source(self) -> Path:
        """The file."""
        return self.job.source


def _degrade(task: Task) -> Degraded:
    job, recipe = task.job, task.recipe
    info = audio.inspect(job.source)
    clean, sample_rate = audio.read(job.source)
    generator = generator_for(task.seed or 0, job.place.as_posix())
    with one_thread():
        damaged, applied, gain = degrade(clean, sample_rate, recipe.steps, generator, recipe.level)
    log = DamageLog(
        source=job.place.as_posix().encode("utf-8", "backslashreplace").decode(),
        sample_rate=sample_rate,
        seed=task.seed,
        degradations=applied,
        level=recipe.level,
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

"""Damage sound files on purpose, with a log beside each from which the damage is had again."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Generator, Tensor
from torch.linalg import vector_norm

from selfremaster.core import audio, guards, jobs
from selfremaster.core.bundles import versions
from selfremaster.core.components import describe, nested_parts
from selfremaster.core.errors import ComponentError
from selfremaster.core.files import write_together
from selfremaster.core.interfaces import Degradation, Parameters
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.parallel import one_thread
from selfremaster.core.plain import MOST_JSON_BYTES, TooLongError, read_text

LOG_SUFFIX = ".json"
FULL_SCALE = 1.0
LARGEST_GAIN = 1e6  # what is all but gone is not blown up

Level = Literal["limit", "match"] | Annotated[float, Field(ge=-120, le=0)]
"""How loud a result is: as it comes but within full scale ("limit"); as loud as the input (its RMS)
and within full scale ("match"); or with its peak at a level in dBFS."""


class Applied(BaseModel):
    """One degradation as it was applied: its name, its settings, and what was drawn.

    Of settings that are parts only those are told that are not the defaults. The parameters are
    those of all channels, or a list of those of each.
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
    advance_samples: int = 0  # by how much the sound was moved forward, before that
    version: str = ""  # of the toolkit; older logs have none


class Step(NamedTuple):
    """A degradation under its name; what it draws, unless it is given: for all, or each channel."""

    name: str
    part: Degradation
    parameters: Parameters | Sequence[Parameters] | None = None


class Recipe(NamedTuple):
    """What is to be done with a file: the damage, then a move forward in time, then the level."""

    steps: tuple[Step, ...]
    level: Level = "limit"
    advance_samples: int = 0

    @property
    def delay_samples(self) -> int:
        """By how much the damaged sound lags, before it is moved forward."""
        return sum(step.part.delay_samples for step in self.steps)


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
    advance_samples: int = 0,
) -> tuple[Tensor, tuple[Applied, ...], float]:
    """Damage a wave step by step; gives it with what was applied, and the gain that came last.

    Each channel gets the parameters that a degradation draws for it, which are the same for most.
    ``advance_samples`` cuts off so many at the beginning and adds silence at the end.

    Shape: (channels, samples) -> (channels, samples), rate in Hz.
    Raises `ComponentError` for parameters that are bad, or of another number of channels, and for a
    degradation that gives another shape.
    """
    damaged = wave
    applied = []
    for step in steps:
        try:
            drawn = _parameters(step, generator, sample_rate, len(wave))
            damaged = guards.damaged(step.part, damaged, drawn, sample_rate)
        except ComponentError as error:
            if str(error).startswith("degradation "):
                raise
            raise ComponentError(f"degradation {step.name}: {error}") from None
        if damaged.shape != wave.shape:
            raise ComponentError(
                f"degradation {step.name}: makes {tuple(damaged.shape)} of {tuple(wave.shape)} "
                "(channels, samples); a part keeps both, see `selfremaster check`"
            )
        settings = settings_of(step.part)
        applied.append(Applied(degradation=step.name, settings=settings, parameters=drawn))
    if advance_samples:
        damaged = _advanced(damaged, advance_samples)
    gain = _gain(wave, damaged, level)
    return damaged if gain == 1 else damaged * gain, tuple(applied), gain


def settings_of(part: Degradation) -> dict[str, Any]:
    """The settings of a part as JSON, without parts in it that are the default ones."""
    config = part.config
    fields = type(config).model_fields
    defaults = {
        name
        for name in nested_parts(type(config))
        if not fields[name].is_required()
        and getattr(config, name) == fields[name].get_default(call_default_factory=True)
    }
    return config.model_dump(mode="json", exclude=defaults)


def _advanced(wave: Tensor, samples: int) -> Tensor:
    """The wave so many samples earlier (below 0: later), with silence where nothing is left.

    >>> _advanced(torch.tensor([[1.0, 2.0, 3.0]]), 1).tolist()
    [[2.0, 3.0, 0.0]]
    >>> _advanced(torch.tensor([[1.0, 2.0, 3.0]]), -2).tolist()
    [[0.0, 0.0, 1.0]]
    """
    length = wave.shape[-1]
    shift = max(-length, min(samples, length))
    silence = torch.zeros_like(wave[:, : abs(shift)])
    if shift < 0:
        return torch.cat([silence, wave[:, : length + shift]], dim=-1)
    return torch.cat([wave[:, shift:], silence], dim=-1)


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
    each = guards.drawn(step.part, generator, sample_rate, channels) if given is None else given
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
    aligned: bool = False,
) -> Iterator[Degraded | Failure]:
    """Damage file after file alike, and give what came of each, with a JSON log beside each.

    What is drawn for a file follows from the seed and its place in the folder alone, and so does
    the result, however many processes there are. Without a seed every step must have its
    parameters. ``aligned`` moves results forward by what the parts say that they lag.
    """
    if seed is None and any(step.parameters is None for step in steps):
        raise ComponentError("a degradation without parameters draws them; give a seed")
    recipe = recipe_of(steps, level, aligned=aligned)
    return damage_files([(job, recipe) for job in planned], seed, processes)


def recipe_of(steps: Sequence[Step], level: Level = "limit", *, aligned: bool = False) -> Recipe:
    """What is to be done with a file, moved forward by its lag if it is to be ``aligned``."""
    recipe = Recipe(tuple(steps), level)
    return recipe._replace(advance_samples=recipe.delay_samples) if aligned else recipe


def damage_files(
    planned: Sequence[tuple[Job, Recipe]], seed: int | None, processes: int = 1
) -> Iterator[Degraded | Failure]:
    """Damage each file by its own recipe; without a seed, by one whose parameters are known."""
    if len({id(recipe) for _, recipe in planned}) == 1:
        shared = planned[0][1]
        return jobs.run([job for job, _ in planned], partial(_degrade, shared, seed), processes)
    tasks = [Task(job, recipe) for job, recipe in planned]
    return jobs.run(tasks, partial(_degrade_by_its_own, seed), processes)


class Task(NamedTuple):
    """A file, and what is to be done with it."""

    job: Job
    recipe: Recipe

    @property
    def source(self) -> Path:
        """The file."""
        return self.job.source


def _degrade_by_its_own(seed: int | None, task: Task) -> Degraded:
    return _degrade(task.recipe, seed, task.job)


def _degrade(recipe: Recipe, seed: int | None, job: Job) -> Degraded:
    info = audio.inspect(job.source)
    clean, sample_rate = audio.read(job.source)
    generator = generator_for(seed or 0, job.place.as_posix())
    with one_thread():
        damaged, applied, gain = degrade(
            clean, sample_rate, recipe.steps, generator, recipe.level, recipe.advance_samples
        )
    log = DamageLog(
        source=_place_in_words(job),
        sample_rate=sample_rate,
        seed=seed,
        degradations=applied,
        level=recipe.level,
        gain=gain,
        advance_samples=recipe.advance_samples,
        version=versions()["selfremaster"],
    )
    log_file, text = job.beside(LOG_SUFFIX), log_text(log)
    put = audio.writer(job.target, damaged, sample_rate, like=info)
    with write_together(log_file, job.target) as (temporary_log, temporary_sound):
        temporary_log.write_text(text, encoding="utf-8")
        put(temporary_sound)
    return Degraded(job.source, job.target, log_file, log)


def _place_in_words(job: Job) -> str:
    return job.place.as_posix().encode("utf-8", "backslashreplace").decode()


def done_before(
    planned: Sequence[Job], recipes: Sequence[Recipe], seed: int | None
) -> dict[Job, Degraded]:
    """The files whose results and logs are there, and whose logs tell the same recipe and seed."""
    found = {}
    for job, recipe in zip(planned, recipes, strict=True):
        log_file = job.beside(LOG_SUFFIX)
        try:
            log = read_log(log_file)
        except ComponentError:
            continue
        if job.target.is_file() and _tells(log, job, recipe, seed):
            found[job] = Degraded(job.source, job.target, log_file, log)
    return found


def _tells(log: DamageLog, job: Job, recipe: Recipe, seed: int | None) -> bool:
    """Whether a log is what a recipe would write, as far as nothing is drawn."""
    given = [(step.name, settings_of(step.part)) for step in recipe.steps]
    same = [(one.degradation, one.settings) for one in log.degradations] == given
    drawn = seed is not None or all(
        one.parameters == step.parameters
        for one, step in zip(log.degradations, recipe.steps, strict=same)
    )
    about = (log.source, log.seed, log.level, log.advance_samples)
    wanted = (_place_in_words(job), seed, recipe.level, recipe.advance_samples)
    return same and drawn and about == wanted


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
        text = read_text(path, MOST_JSON_BYTES)
    except FileNotFoundError:
        raise ComponentError(
            f"{path}: no such file; name the JSON beside a degraded file"
        ) from None
    except TooLongError as error:
        raise ComponentError(f"{path}: {error}; is it a log at all?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(f"{path}: cannot be read as text ({type(error).__name__})") from None
    try:
        return DamageLog.model_validate_json(text)
    except ValidationError as error:
        first = describe(error, DamageLog).partition("; ")[0]
        raise ComponentError(
            f"{path}: not a log that `selfremaster degrade` wrote: {first}"
        ) from None

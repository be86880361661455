"""What each degradation costs: times real time on one core, and memory."""

import re
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import torch
from torch import Generator, Tensor

from selfremaster.benchmarks.degradations.peers import speech
from selfremaster.benchmarks.tables import markdown
from selfremaster.benchmarks.timing import (
    CRASHED,
    apart,
    apart_and_frugal,
    median_seconds,
    peak_growth,
)
from selfremaster.core.components import ComponentSpec
from selfremaster.core.damage import Drawn
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.interfaces import Degradation
from selfremaster.registry.building import build, component_class, configure

RATES_HZ = (22050, 44100)
BATCH = 8
SPREAD = 0.05  # to either side of its default, a setting is drawn for the waves of a batch
TARGET = 100.0  # times real time
SLOW_TARGET = 30.0
SLOW = ("codec", "reverb")  # words in the names of parts that may be slower
MEMORY_TARGET = 6.0  # times the input
DRAWS = 5  # speed is the mean over so many, memory the worst of them


class Settings(NamedTuple):
    """What is measured, and how long."""

    parts: tuple[str, ...] = ()  # none: all that are registered
    seconds: float = 10.0
    memory_seconds: float = 600.0
    repeats: int = 5
    least_seconds: float = 0.5  # each is repeated until that much time is gone
    notes: Path | None = None  # Markdown for the end of the report


class Measured(NamedTuple):
    """What was found out about a degradation; what failed is told in words."""

    name: str
    speeds: Mapping[tuple[int, int], float]  # times real time, by rate in Hz and batch
    memory: float | None  # times the input, above it
    failure: str = ""

    @property
    def target(self) -> float:
        """How many times real time it is to reach."""
        return target_of(self.name)

    @property
    def misses(self) -> bool:
        """Whether a target is missed."""
        too_slow = any(speed < self.target for speed in self.speeds.values())
        return too_slow or (self.memory is not None and self.memory > MEMORY_TARGET)


def around_defaults(name: str) -> ComponentSpec:
    """A degradation that draws each number near its default, so that waves get values of their own.

    What cannot be a range, or not together with the others, stays as it is.
    """
    chosen: dict[str, Any] = {"name": name}
    for setting, field in component_class("degradation", name).Config.model_fields.items():
        default = field.get_default()
        marks = [mark for mark in field.metadata if isinstance(mark, Drawn)]
        if not marks or isinstance(default, bool) or not isinstance(default, (int, float)):
            continue
        limits = sorted((default * (1 - SPREAD), default * (1 + SPREAD)))
        try:
            configure("degradation", {**chosen, setting: limits})
        except SelfRemasterError:
            continue
        chosen[setting] = limits
    return ComponentSpec.parse(chosen)


def speeds_of(name: str, settings: Settings) -> dict[tuple[int, int], float]:
    """Times real time at each rate: one wave by the defaults, and a batch, a set of values each."""
    found = {}
    for rate_hz in RATES_HZ:
        wave = speech(settings.seconds, rate_hz)
        waves = torch.cat([wave.roll(turn * rate_hz // 3, -1) for turn in range(BATCH)])
        for batch, spec in ((wave, ComponentSpec.parse(name)), (waves, around_defaults(name))):
            work = partial(_draw_and_apply, build("degradation", spec), batch, rate_hz)
            works = [partial(work, seed) for seed in range(DRAWS)]
            taken = median_seconds(works, settings.repeats, settings.least_seconds)
            found[rate_hz, len(batch)] = settings.seconds * len(batch) / statistics.mean(taken)
    return found


def _draw_and_apply(part: Degradation, wave: Tensor, rate_hz: int, seed: int) -> None:
    part(wave, Generator().manual_seed(seed), rate_hz)


def choices_of(name: str) -> list[str]:
    """The part with each choice that its settings name and that is not the default."""
    specs = []
    for setting, field in component_class("degradation", name).Config.model_fields.items():
        if any(isinstance(mark, Drawn) and mark.how == "choice" for mark in field.metadata):
            named = dict.fromkeys(_words_of(field.annotation))
            specs += [f"{name}:{setting}={word}" for word in named if word != field.get_default()]
    return specs


def _words_of(annotation: Any) -> list[str]:
    """The words that a Literal allows, at any depth of an annotation."""
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if isinstance(word, str)]
    return [word for part in get_args(annotation) for word in _words_of(part)]


def choice_speeds(name: str, settings: Settings) -> dict[str, list[float] | str]:
    """Times real time of a part with each choice at each rate, or why there is none."""
    specs = choices_of(name)
    if not specs:
        return {}
    try:
        return apart(speeds_of_choices, specs, settings)
    except BrokenProcessPool:
        return dict.fromkeys(specs, CRASHED)


def speeds_of_choices(specs: Sequence[str], settings: Settings) -> dict[str, list[float] | str]:
    """Times real time of one wave at each rate, or why there is none."""
    found: dict[str, list[float] | str] = {}
    for spec in specs:
        try:
            part: Degradation = build("degradation", spec)
            speeds = []
            for rate_hz in RATES_HZ:
                wave = speech(settings.seconds, rate_hz)
                work = partial(_draw_and_apply, part, wave, rate_hz, 0)
                (taken,) = median_seconds([work], settings.repeats, settings.least_seconds)
                speeds.append(settings.seconds / taken)
            found[spec] = speeds
        except SelfRemasterError as error:
            found[spec] = _without_places(error)
    return found


def memory_of(name: str, seconds: float) -> float:
    """The most memory that it takes above its input, in parts of the input, the result included.

    To be called in a fresh process.
    """
    part: Degradation = build("degradation", name)
    short = speech(1.0, RATES_HZ[0])
    part(short, Generator().manual_seed(0), RATES_HZ[0])  # packages are imported, tables are made
    wave = short.repeat(1, max(1, round(seconds)))
    with peak_growth() as grown:
        for seed in range(DRAWS):
            part(wave, Generator().manual_seed(seed), RATES_HZ[0])
    return grown[0] / (wave.numel() * wave.element_size())


def measure(name: str, settings: Settings) -> Measured:
    """Speed and memory of a degradation, each in a process of its own."""
    try:
        build("degradation", name)  # what cannot be built is told by its cause, not by a process's
        memory = apart_and_frugal(memory_of, name, settings.memory_seconds)
        return Measured(name, apart(speeds_of, name, settings), memory)
    except SelfRemasterError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError):
            return Measured(name, {}, None, f"needs {missing.name}, which is not installed")
        return Measured(name, {}, None, _without_places(error))
    except BrokenProcessPool:
        return Measured(name, {}, None, CRASHED)


def table(found: Sequence[Measured]) -> str:
    """Speed of the degradations as Markdown; what misses its target is bold.

    >>> speeds = {(22050, 1): 250.0, (22050, 8): 99.0, (44100, 1): 120.4, (44100, 8): 150.0}
    >>> print(table([Measured("clip", speeds, 2.0)]).splitlines()[-1])
    | clip | 250 | **99, missed** | 120 | 150 | 100 |
    """
    heading = ["degradation"]
    for rate_hz in RATES_HZ:
        heading += [f"{rate_hz:,} Hz", f"{BATCH} waves"]
    rows = []
    for one in found:
        if one.failure:
            continue
        speeds = [one.speeds[rate_hz, batch] for rate_hz in RATES_HZ for batch in (1, BATCH)]
        cells = [_marked(f"{speed:.0f}", speed < one.target) for speed in speeds]
        rows.append([one.name, *cells, f"{one.target:.0f}"])
    return markdown([*heading, "target"], rows)


def choice_table(found: Mapping[str, list[float] | str]) -> str:
    """Speed of the choices as Markdown; what misses its target is bold.

    >>> print(choice_table({"noise:kind=pink": [250.4, 99.0]}).splitlines()[-1])
    | `noise:kind=pink` | 250 | **99, missed** | 100 |
    """
    rows = []
    for spec, speeds in found.items():
        if isinstance(speeds, str):
            continue
        target = target_of(spec)
        cells = [_marked(f"{speed:.0f}", speed < target) for speed in speeds]
        rows.append([f"`{spec}`", *cells, f"{target:.0f}"])
    return markdown(["choice", *(f"{rate_hz:,} Hz" for rate_hz in RATES_HZ), "target"], rows)


def _without_places(error: SelfRemasterError) -> str:
    """What went wrong, without where on this machine."""
    return re.sub(r" \((?:/|[A-Z]:\\)[^)]*\)", "", str(error))


def target_of(spec: str) -> float:
    """How many times real time a degradation is to reach."""
    name = spec.partition(":")[0]
    return SLOW_TARGET if any(word in name for word in SLOW) else TARGET


def memory_table(found: Sequence[Measured]) -> str:
    """Memory of the degradations as Markdown; what misses its target is bold.

    >>> print(memory_table([Measured("clip", {}, 1.5)]).splitlines()[-1])
    | clip | 1.5 |
    """
    rows = [
        [one.name, _marked(f"{one.memory:.1f}", one.memory > MEMORY_TARGET)]
        for one in found
        if one.memory is not None
    ]
    return markdown(["degradation", "peak memory / input"], rows)


def _marked(text: str, missed: bool) -> str:
    return f"**{text}, missed**" if missed else text

"""Measuring in a benchmark: every metric of the grid on every channel, and a word on each gap."""

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfremaster.benchmarks.addresses import (
    address_of,
    described,
    is_loadable,
    package_version,
    versions_of,
)
from selfremaster.benchmarks.records import MetricNote, Scores
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import ComponentError, SelfRemasterError, one_line
from selfremaster.core.interfaces import Metric
from selfremaster.registry.building import build, component_class, current

NO_REFERENCE = "no reference"
DIGITS = 9  # of a score, so that the last bits of sums play no part
Sounds = Callable[[], tuple[Tensor, int, Tensor | None]]
"""Gives a wave, its rate in Hz and the reference, waves (channels, samples)."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_SOURCE = re.compile(
    r"^\s*Source: (.*?)(?=^\s*(?:Raises|Shape|Licen[cs]e)\b|^\s*$|\Z)", re.M | re.S
)


class Meter(NamedTuple):
    """A metric of the grid, and under which names its numbers are told."""

    text: str  # as written in the grid
    spec: ComponentSpec
    names: dict[str, str]  # of the metric's own -> in the scores
    content: Any

    @property
    def address(self) -> str:
        """Of what it measures, whatever it is called and whatever is measured beside it."""
        return address_of(self.content)


class Measured(NamedTuple):
    """Numbers, and why there are no others."""

    scores: dict[str, float | None]
    gaps: dict[str, str]
    own: dict[str, Scores]  # by the address of a meter: the numbers by the metric's own names


def meters_of(specs: Sequence[ComponentSpec]) -> tuple[Meter, ...]:
    """The metrics of a grid; a number that two of them give is told with the metric beside it.

    Raises `ComponentError` for a metric or setting that there is not, and one that comes twice.
    """
    meters: list[Meter] = []
    taken: set[str] = set()
    for spec in specs:
        text = str(spec)
        if text in (meter.text for meter in meters):
            raise ComponentError(f"metrics: {text} comes twice; leave one out")
        if not is_loadable("metric", spec):
            owner = current().table.find("metric", spec.name).owner
            content: Any = {"part": spec.name, "owner": [*owner], "settings": dict(spec.settings)}
            meters.append(Meter(text, spec, {}, content))
            continue
        content = described("metric", spec)
        found: Any = component_class("metric", spec.name)
        content["packages"] = versions_of("metric", spec.name)
        names = {
            name: name if name not in taken else f"{name} ({text})" for name in found.directions
        }
        taken |= set(names.values())
        meters.append(Meter(text, spec, names, content))
    return tuple(meters)


def note_of(meter: Meter) -> MetricNote:
    """What a report says about a metric, whether it can be built or not."""
    built = _built(meter.text, meter.spec.model_dump_json(), id(current()))
    missing = built if isinstance(built, str) else ""
    try:
        part: Any = component_class("metric", meter.spec.name)
    except ComponentError as error:
        return MetricNote(metric=meter.text, summary="", missing=missing or str(error))
    documented = inspect.getdoc(part) or ""
    source = _SOURCE.search(documented)
    told: Any = part if isinstance(built, str) else built
    return MetricNote(
        metric=meter.text,
        summary=documented.partition("\n")[0],
        source=" ".join(source[1].split()) if source else "",
        policy=str(told.policy),
        directions={_name(meter, name): way for name, way in told.directions.items()},
        ideal={_name(meter, name): value for name, value in told.ideal.items()},
        needs_reference=bool(told.needs_reference),
        packages={name: package_version(name) for name in told.packages},
        missing=missing,
    )


def measure(
    meters: Sequence[Meter],
    sounds: Sounds,
    why: str = "",
    known: Mapping[str, Scores] | None = None,
) -> Measured:
    """Every number of every metric, the mean over channels; what is missing has its reason.

    A number that is none (silence, say) is None. ``known`` holds what was measured before, by the
    address of a meter; the sounds are read where there is anything else to measure.
    """
    measured = Measured({}, {}, {})
    for meter in meters:
        own = (known or {}).get(meter.address)
        if own is None:
            try:
                own = _own_scores(meter, sounds, why)
            except _NoNumberError as gap:
                measured.gaps[meter.text] = str(gap)
                continue
        measured.own[meter.address] = own
        measured.scores.update({_name(meter, name): number for name, number in own.items()})
    return measured


class _NoNumberError(Exception):
    """Why a metric gives nothing, in a line."""


def no_reference(why: str) -> str:
    """Why a metric that compares gives nothing.

    >>> no_reference("it was lost"), no_reference("")
    ('no reference: it was lost', 'no reference')
    """
    return f"{NO_REFERENCE}: {why}" if why else NO_REFERENCE


def _own_scores(meter: Meter, sounds: Sounds, why: str) -> Scores:
    """The numbers of a metric by its own names; raises `_NoNumberError`."""
    metric = _built(meter.text, meter.spec.model_dump_json(), id(current()))
    if isinstance(metric, str):
        raise _NoNumberError(metric)
    wave, sample_rate, reference = sounds()
    if metric.needs_reference and reference is None:
        raise _NoNumberError(no_reference(why))
    try:
        return _of_channels(metric, wave, sample_rate, reference)
    except (Exception, SystemExit) as error:
        raise _NoNumberError(reason_of(error)) from None


def _name(meter: Meter, name: str) -> str:
    return meter.names.get(name, name)


def _of_channels(
    metric: Metric, wave: Tensor, sample_rate: int, reference: Tensor | None
) -> dict[str, float | None]:
    collected: dict[str, list[float]] = {}
    for channel, estimate in enumerate(wave):
        wanted = None if reference is None else reference[channel].clone()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            found: Mapping[str, float] = metric.compute(estimate.clone(), sample_rate, wanted)
        for name, number in found.items():
            collected.setdefault(name, []).append(float(number))
    return {name: _mean(numbers) for name, numbers in collected.items()}


def _mean(numbers: Sequence[float]) -> float | None:
    """The mean of what is a number, without the digits that nobody can hear.

    >>> _mean([1.0, float("nan"), 2.0])
    1.5
    """
    found = [number for number in numbers if math.isfinite(number)]
    return float(f"{sum(found) / len(found):.{DIGITS}g}") if found else None


@lru_cache(maxsize=64)
def _built(text: str, spec: str, plugins: int) -> Metric | str:
    """A metric, built once a process, or why it cannot be had."""
    del text, plugins  # other plugins may mean another part by the same name
    try:
        metric: Metric = build("metric", ComponentSpec.model_validate_json(spec))
    except SelfRemasterError as error:
        return reason_of(error)
    return metric


def reason_of(error: BaseException) -> str:
    """An error in one line that is the same whenever it comes: no addresses of memory.

    >>> reason_of(ValueError("of <object at 0x7f22aa10>"))
    'ValueError: of <object at 0x...>'
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "not enough memory"
    ours = isinstance(error, SelfRemasterError)
    return _ADDRESS.sub("0x...", " ".join(str(error).split()) if ours else one_line(error))

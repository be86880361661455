"""Clicks, pops and scratches of discs."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
)
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.noises import (
    FloorDb,
    add_beneath,
    add_rings,
    moments_of_chance,
    scatter_db,
    streams,
)

LIKENESS = 0.25  # the spread of a scratch from turn to turn, as a part of that of clicks

Rate = Annotated[float, Field(ge=0, le=100)]
Decibels = Annotated[float, Field(ge=-120, le=60)]
Spread = Annotated[float, Field(ge=0, le=20)]
Hertz = Annotated[float, Field(ge=20, le=40000)]
Seconds = Annotated[float, Field(ge=0.0001, le=0.1)]
Turns = Annotated[float, Field(ge=1, le=1000)]
Percent = Annotated[float, Field(ge=0, le=10)]


class ClicksConfig(ComponentConfig):
    """Settings of `Clicks`."""

    per_second: Annotated[
        ValueOrRange[Rate],
        Drawn(),
        Field(description="how many clicks a second, by chance; [low, high] draws it"),
    ] = 2.0
    level_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(
            description="peak of the median click over the RMS of the speech, dB; [low, high] "
            "draws it"
        ),
    ] = 6.0
    spread_db: Annotated[
        ValueOrRange[Spread],
        Drawn(),
        Field(description="standard deviation of the peaks, dB; [low, high] draws it"),
    ] = 6.0
    low_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(
            description="lowest frequency that a click rings at, each at its own; [low, high] "
            "draws it"
        ),
    ] = 500.0
    high_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(description="highest frequency that a click rings at; [low, high] draws it"),
    ] = 4000.0
    decay_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(
            description="time in which a typical click dies away by 60 dB, each in from half to "
            "twice of it; [low, high] draws it"
        ),
    ] = 0.005
    turns_per_minute: Annotated[
        ValueOrChoices[Turns | None],
        Drawn("choice"),
        Field(
            description="of a disc with a scratch, which is heard once a turn, too: 33.3, 45 or "
            "78; none: no scratch; a list draws one of it"
        ),
    ] = None
    jitter_percent: Annotated[
        ValueOrRange[Percent],
        Drawn(),
        Field(
            description="standard deviation of the scratch's moment, part of a turn; [low, high] "
            "draws it"
        ),
    ] = 0.2
    floor_db: FloorDb = -60.0
    seed: Seed = None

    @model_validator(mode="after")
    def _check(self) -> "ClicksConfig":
        lowest = max(self.low_hz) if isinstance(self.low_hz, tuple) else self.low_hz
        highest = min(self.high_hz) if isinstance(self.high_hz, tuple) else self.high_hz
        if lowest > highest:
            raise ValueError(
                f"low_hz={lowest:g} is above high_hz={highest:g}; give the lower first"
            )
        if self.per_second == 0 and self.turns_per_minute is None:
            raise ValueError("nothing clicks; give per_second, turns_per_minute or both")
        return self


class Clicks(SettledDegradation):
    """Let the sound click and pop as a damaged disc does, at random and once a turn.

    Clicks come by chance (a Poisson process). Each is a damped sinusoid of a frequency, decay, peak
    and sign of its own. A scratch is one of them that comes again at the same place of every turn,
    nearly as loud. All channels of a recording click at the same moments, each at a level that goes
    with its own speech.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: Godsill and Rayner, Digital Audio Restoration, 1998, on clicks; Valimaki et al., Digital
    Audio Antiquing, J. Audio Eng. Soc. 56(3), 2008.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A scratch is heard ten times in the ten turns of 600 a minute that a second has, and dies away
    within half a turn:

    >>> scratched = ClicksConfig(per_second=0, turns_per_minute=600, floor_db=0, seed=1)
    >>> heard = Clicks(scratched).apply(torch.zeros(1, 8000), {}, 8000).abs()[0] > 0.1
    >>> starts = heard.nonzero()[:, 0].diff() > 400
    >>> int(starts.sum()) + 1
    10
    """

    Config = ClicksConfig
    config: ClicksConfig
    differentiable = True
    adds_sound = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its clicks, at a level that goes with its speech."""
        return add_beneath(wave, values, sample_rate, _fill)


def _fill(clicks: Tensor, values: Mapping[str, Any], sample_rate: int) -> None:
    """Add to a row of zeros (samples,) its clicks, the median of which has a peak of 1."""
    seconds = len(clicks) / sample_rate
    add_rings(clicks, *_single(values, seconds), sample_rate)
    if values["turns_per_minute"] is not None:
        add_rings(clicks, *_scratch(values, seconds), sample_rate)


def _single(values: Mapping[str, Any], seconds: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Moments, frequencies, decays and peaks of the clicks that come once."""
    moments = moments_of_chance(values["seed"], values["per_second"], seconds)
    (generator,) = streams(values["seed"], 1)
    chance = torch.rand(len(moments), 4, generator=generator, dtype=torch.float64)
    return moments, *_sorts(chance, values)


def _scratch(values: Mapping[str, Any], seconds: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same of the click that comes once a turn."""
    once, often = streams(values["seed"], 3)[1:]
    turn_seconds = 60 / values["turns_per_minute"]
    sort = torch.rand(5, generator=once, dtype=torch.float64)
    # the turn before the first and that after the last may be just late and early enough
    turns = torch.arange(-1, math.ceil(seconds / turn_seconds) + 1, dtype=torch.float64)
    late, size = torch.rand(len(turns), 2, generator=often, dtype=torch.float64).T
    jitter = torch.special.ndtri(late.clamp(1e-15, 1 - 1e-15)) * values["jitter_percent"] / 100
    moments = (turns + sort[4] + jitter) * turn_seconds
    within = (moments >= 0) & (moments < seconds)
    hz, decay, peak = (each.expand(len(turns)) for each in _sorts(sort[None, :4], values))
    peaks = peak * scatter_db(size, LIKENESS * values["spread_db"])
    return moments[within], hz[within], decay[within], peaks[within]


def _sorts(chance: Tensor, values: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Frequency, decay and peak (events,) that follow from four numbers 0 to 1 for each."""
    pitch, duration, size, sign = chance.T
    low, high = values["low_hz"], values["high_hz"]
    hz = low * (high / low) ** pitch
    decay = values["decay_seconds"] * 2 ** (2 * duration - 1)
    return hz, decay, scatter_db(size, values["spread_db"]) * (sign - 0.5).sign()

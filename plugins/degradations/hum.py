"""Mains hum, as it gets into a recording by its wires and power supplies."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
)
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.noises import FloorDb, add_beneath, scatter_db, streams

MOST_HARMONICS = 100
TABLE_STEPS = 2048  # of a period of the highest partial: interpolation errs by -118 dB
BLOCK_SAMPLES = 2**15
SWINGS = 3  # that a drift is made of
SWING_HZ = (0.05, 0.5)

Hertz = Annotated[float, Field(ge=10, le=1000)]
Decibels = Annotated[float, Field(ge=-120, le=60)]
Partials = Annotated[int, Field(ge=1, le=MOST_HARMONICS)]
Slope = Annotated[float, Field(ge=0, le=60)]
Balance = Annotated[float, Field(ge=-80, le=80)]
Spread = Annotated[float, Field(ge=0, le=20)]
Percent = Annotated[float, Field(ge=0, le=10)]


class HumConfig(ComponentConfig):
    """Settings of `Hum`."""

    mains_hz: Annotated[
        ValueOrChoices[Hertz],
        Drawn("choice"),
        Field(description="frequency of the mains; a list such as [50, 60] draws one of it"),
    ] = 50.0
    level_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="RMS of the hum over that of the speech, dB; [low, high] draws it"),
    ] = -30.0
    harmonics: Annotated[
        ValueOrRange[Partials],
        Drawn(step=1),
        Field(description="number of partials, the mains frequency the first; [low, high] draws"),
    ] = 20
    rolloff_db: Annotated[
        ValueOrRange[Slope],
        Drawn(),
        Field(description="by how much partials fall, dB an octave; [low, high] draws it"),
    ] = 9.0
    even_db: Annotated[
        ValueOrRange[Balance],
        Drawn(),
        Field(
            description="what rectifiers add to the partials at twice the mains frequency and its "
            "multiples, dB; [low, high] draws it"
        ),
    ] = 9.0
    spread_db: Annotated[
        ValueOrRange[Spread],
        Drawn(),
        Field(description="standard deviation of each partial from that, dB; [low, high] draws it"),
    ] = 4.0
    drift_percent: Annotated[
        ValueOrRange[Percent],
        Drawn(),
        Field(
            description="most by which the frequency slowly goes up and down, as on a tape that "
            "ran unevenly; [low, high] draws it"
        ),
    ] = 0.0
    floor_db: FloorDb = -60.0
    seed: Seed = None


class Hum(SettledDegradation):
    """Put mains hum beneath the sound: a tone at the mains frequency and at its multiples.

    The seed says how strong each partial is within the spread, where in its period it begins, and
    how the frequency drifts. Partials at or above half the rate are left out, and the rest has the
    level that is asked for; the speech, of which pauses are no part, is what it is compared with.
    All channels of a recording hum in step, each at a level that goes with its own speech.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: Horowitz and Hill, The Art of Electronics, on rectifiers: ripple at twice the mains.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A single partial at -20 dB has a tenth of the level of the speech:

    >>> hum = Hum(HumConfig(level_db=-20, harmonics=1, seed=1))
    >>> wave = torch.ones(1, 22050)
    >>> added = hum.apply(wave, {}) - wave
    >>> round(added.square().mean().sqrt().item(), 4), round(added.max().item() / 2**0.5, 4)
    (0.1, 0.1)
    """

    Config = HumConfig
    config: HumConfig
    differentiable = True
    adds_sound = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its hum, at a level that goes with its speech."""
        return add_beneath(wave, values, sample_rate, _fill)


def _fill(hum: Tensor, values: Mapping[str, Any], sample_rate: int) -> None:
    """Fill a row of zeros (samples,) with hum of RMS 1: a period of it, read over and over."""
    drift = values["drift_percent"] / 100
    audible = math.ceil(sample_rate / 2 / values["mains_hz"] / (1 + drift)) - 1
    count = min(values["harmonics"], audible)
    if count < 1:
        return
    period = one_period(values, count)
    steps = len(period) - 1
    for start, moments in _blocks(len(hum), sample_rate):
        place = moments if not drift else drifting(moments, drift, values["seed"])
        place = place * values["mains_hz"]
        place = place.sub_(place.floor()).mul_(steps)
        # a moment just before a period may be rounded to the whole of it
        before = place.long().clamp_(max=steps - 1)
        place -= before
        read = torch.lerp(period[before], period[before + 1], place)
        hum[start : start + len(read)] = read


def one_period(values: Mapping[str, Any], count: int) -> Tensor:
    """The first partials over one period of the mains, and its first step again, at an RMS of 1.

    Shape: -> (steps + 1,), float64, so many that a line from step to step will do.
    """
    (chance,) = streams(values["seed"], 1)
    strength, phase = torch.rand(2, MOST_HARMONICS, generator=chance, dtype=torch.float64)
    number = torch.arange(1, count + 1)
    level = scatter_db(strength[:count], values["spread_db"])
    level *= 10 ** (-values["rolloff_db"] / 20 * number.double().log2())
    level[1::2] *= 10 ** (values["even_db"] / 20)
    level /= (level.square().sum() / 2).sqrt()
    steps = 2 ** math.ceil(math.log2(TABLE_STEPS * count))
    spectrum = torch.zeros(steps // 2 + 1, dtype=torch.complex128)
    spectrum[1 : count + 1] = torch.polar(level * steps / 2, 2 * math.pi * phase[:count])
    period = torch.fft.irfft(spectrum, steps)
    return torch.cat([period, period[:1]])


def drifting(moments: Tensor, drift: float, seed: int) -> Tensor:
    """Moments in seconds as a machine has them that runs too fast and too slow by up to a part.

    Shape: (moments,) -> (moments,), float64; 0 is 0.
    """
    chance = torch.rand(2, SWINGS, generator=streams(seed, 2)[1], dtype=torch.float64)
    low, high = SWING_HZ
    passed = moments.clone()
    for part, phase in zip(chance[0].tolist(), (2 * math.pi * chance[1]).tolist(), strict=True):
        turns = 2 * math.pi * low * (high / low) ** part
        swing = torch.cos(moments * turns + phase).neg_().add_(math.cos(phase))
        passed.add_(swing, alpha=drift / SWINGS / turns)
    return passed


def _blocks(samples: int, sample_rate: int) -> Iterator[tuple[int, Tensor]]:
    """The first sample of each block, and the moments of all of them in seconds."""
    for start in range(0, samples, BLOCK_SAMPLES):
        end = min(start + BLOCK_SAMPLES, samples)
        yield start, torch.arange(start, end, dtype=torch.float64) / sample_rate

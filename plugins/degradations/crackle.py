"""Surface crackle of discs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, Seed, SettledDegradation, ValueOrRange
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.noises import (
    FloorDb,
    add_beneath,
    add_rings,
    moments_of_chance,
    scatter_db,
    streams,
)

Rate = Annotated[float, Field(ge=0.01, le=5000)]
Decibels = Annotated[float, Field(ge=-120, le=60)]
Spread = Annotated[float, Field(ge=0, le=20)]
Hertz = Annotated[float, Field(ge=100, le=40000)]
Seconds = Annotated[float, Field(ge=0.0001, le=0.01)]


class CrackleConfig(ComponentConfig):
    """Settings of `Crackle`."""

    per_second: Annotated[
        ValueOrRange[Rate],
        Drawn("log"),
        Field(description="how many crackles a second, by chance; [low, high] draws it"),
    ] = 80.0
    level_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(
            description="peak of the median crackle over the RMS of the speech, dB; [low, high] "
            "draws it"
        ),
    ] = -25.0
    spread_db: Annotated[
        ValueOrRange[Spread],
        Drawn(),
        Field(
            description="standard deviation of the peaks, dB: a few are much louder; [low, high] "
            "draws it"
        ),
    ] = 8.0
    resonance_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(description="at which the pickup rings when struck; [low, high] draws it"),
    ] = 6000.0
    decay_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(description="time in which that dies away by 60 dB; [low, high] draws it"),
    ] = 0.0008
    floor_db: FloorDb = -60.0
    seed: Seed = None


class Crackle(SettledDegradation):
    """Let the sound crackle as the dust and wear of a disc do: many small impulses, few large.

    Impulses come by chance, one independent of another (a Poisson process). Their peaks are
    log-normal, either sign, and each makes the pickup ring briefly. All channels of a recording
    crackle at the same moments, each at a level that goes with its own speech.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: Godsill and Rayner, Digital Audio Restoration, 1998, on clicks; Valimaki et al., Digital
    Audio Antiquing, J. Audio Eng. Soc. 56(3), 2008.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    One crackle or more at a tenth of the level of the speech, if all are alike:

    >>> crackle = Crackle(CrackleConfig(per_second=50, level_db=-20, spread_db=0, seed=1))
    >>> wave = torch.ones(1, 2205)
    >>> round((crackle.apply(wave, {}) - wave).abs().max().item(), 4)
    0.1
    """

    Config = CrackleConfig
    config: CrackleConfig
    differentiable = True
    adds_sound = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its crackles, at a level that goes with its speech."""
        return add_beneath(wave, values, sample_rate, _fill)


def _fill(crackles: Tensor, values: Mapping[str, Any], sample_rate: int) -> None:
    """Add to a row of zeros (samples,) its crackles, the median of which has a peak of 1."""
    seconds = len(crackles) / sample_rate
    moments = moments_of_chance(values["seed"], values["per_second"], seconds)
    size, sign = _chance(values["seed"], len(moments))
    alike = torch.ones_like(moments)
    add_rings(
        crackles,
        moments,
        values["resonance_hz"] * alike,
        values["decay_seconds"] * alike,
        scatter_db(size, values["spread_db"]) * (sign - 0.5).sign(),
        sample_rate,
    )


def _chance(seed: int, events: int) -> Tensor:
    """Two numbers from 0 to 1 for each event, (2, events), whatever comes after it."""
    (generator,) = streams(seed, 1)
    return torch.rand(events, 2, generator=generator, dtype=torch.float64).T

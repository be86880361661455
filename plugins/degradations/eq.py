"""The uneven response of old equipment: some octaves louder, others softer, as chance has it."""

import math
from collections.abc import Mapping, Sequence
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
    column,
    seeded,
)
from selfremaster.core.filtering import convolve, minimum_phase_kernel, zero_phase_kernel
from selfremaster.core.interfaces import ComponentConfig

Spread = Annotated[float, Field(ge=0, le=30)]
Octaves = Annotated[float, Field(ge=0.25, le=10)]
Tilt = Annotated[float, Field(ge=-6, le=6)]

LOWEST_HZ = 20.0  # below it the gain stays as it is there
MIDDLE_HZ = 1000.0  # what a tilt leaves as it is
POINTS = 64  # of the curve: enough for a quarter of an octave up to 192 kHz
KERNEL_SECONDS = 0.35  # of the response that is designed: fine enough for the lowest octaves


class EqConfig(ComponentConfig):
    """Settings of `Eq`."""

    spread_db: Annotated[
        ValueOrRange[Spread],
        Drawn(),
        Field(description="most by which a frequency is louder or softer; [low, high] draws it"),
    ] = 9.0
    octaves: Annotated[
        ValueOrRange[Octaves],
        Drawn("log"),
        Field(description="how far gains lie apart that are drawn alone; [low, high] draws it"),
    ] = 1.0
    tilt_db_per_octave: Annotated[
        ValueOrRange[Tilt],
        Drawn(),
        Field(description="slope besides, through 1 kHz; below 0 it muffles; [low, high] draws it"),
    ] = 0.0
    seed: Seed = None
    zero_phase: Annotated[
        ValueOrChoices[bool],
        Drawn("choice"),
        Field(
            description="no frequency is delayed; by default all answer as soon as they can; "
            "[true, false] draws it"
        ),
    ] = False


class Eq(SettledDegradation):
    """Colour the sound: a smooth, random response over the octaves, as of cheap or aged equipment.

    Gains lie evenly within plus and minus the spread at frequencies that are so many octaves apart,
    and in between the curve runs smoothly from one to the next. The same seed is the same curve in
    Hz at every rate. Its phase is the least there is for the curve, as that of amplifiers and
    microphones; with ``zero_phase`` there is none.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: random equalisation as for augmentation; minimum phase by Oppenheim and Schafer.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    Without a spread, a tilt of 6 dB an octave doubles what lies an octave above 1 kHz:

    >>> tilted = {"spread_db": 0.0, "octaves": 1.0, "tilt_db_per_octave": 6.0, "seed": 1}
    >>> curves([tilted], torch.tensor([500.0, 1000.0, 2000.0], dtype=torch.float64)).tolist()
    [[-6.0, 0.0, 6.0]]
    """

    Config = EqConfig
    config: EqConfig
    differentiable = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Give every wave the same response."""
        return self._coloured(wave, [values], sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Give every wave a response of its own."""
        if len({own["zero_phase"] for own in values}) > 1:
            return super().damage_each(wave, values, sample_rate)
        return self._coloured(wave, values, sample_rate)

    def _coloured(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        size = 2 ** math.ceil(math.log2(KERNEL_SECONDS * sample_rate))
        hertz = torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)
        gain = 10 ** (curves(values, hertz) / 20)
        if values[0]["zero_phase"]:
            return convolve(wave, *zero_phase_kernel(gain))
        return convolve(wave, minimum_phase_kernel(gain))


def curves(values: Sequence[Mapping[str, Any]], hertz: Tensor) -> Tensor:
    """The response in dB of each set of values at frequencies in Hz, (sets, frequencies)."""
    drawn = torch.stack(
        [torch.rand(POINTS + 1, generator=seeded(own["seed"]), dtype=hertz.dtype) for own in values]
    )
    above = hertz.clamp(min=LOWEST_HZ).log2()
    # where the first gain lies is chance, too
    place = (above - math.log2(LOWEST_HZ)) / column(values, "octaves", hertz) + drawn[:, :1]
    before = place.floor().clamp(max=POINTS - 2)
    part = place - before
    smooth = part.square() * (3 - 2 * part)  # level where a gain is drawn: nothing is overshot
    gains = 2 * drawn[:, 1:] - 1
    lower, upper = (gains.gather(1, before.long() + next_one) for next_one in (0, 1))
    spread = torch.lerp(lower, upper, smooth) * column(values, "spread_db", hertz)
    return spread + column(values, "tilt_db_per_octave", hertz) * (above - math.log2(MIDDLE_HZ))

"""Hiss of tapes and amplifiers, which grows towards high frequencies."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, Seed, SettledDegradation, ValueOrRange, rms
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.noises import FloorDb, level_beneath, shaped_noise

BINS = 1025
OCTAVE_DB = 20 * math.log10(2)  # what a first-order slope rises

Decibels = Annotated[float, Field(ge=-120, le=60)]
Corner = Annotated[float, Field(ge=20, le=20000)]
Top = Annotated[float, Field(ge=500, le=192000)]
Slope = Annotated[float, Field(ge=0, le=12)]


class HissConfig(ComponentConfig):
    """Settings of `Hiss`."""

    level_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="RMS of the hiss over that of the speech, dB; [low, high] draws it"),
    ] = -35.0
    corner_hz: Annotated[
        ValueOrRange[Corner],
        Drawn("log"),
        Field(
            description="where it begins to rise: 1326 Hz on cassettes (120 us), 4547 Hz on fast "
            "tapes (35 us); [low, high] draws it"
        ),
    ] = 1326.0
    slope_db: Annotated[
        ValueOrRange[Slope],
        Drawn(),
        Field(description="by how much it rises above, dB an octave; 0 is white; [low, high]"),
    ] = 3.0
    top_hz: Annotated[
        ValueOrRange[Top],
        Drawn("log"),
        Field(description="from where on it falls, 12 dB an octave; [low, high] draws it"),
    ] = 20000.0
    floor_db: FloorDb = -60.0
    seed: Seed = None


class Hiss(SettledDegradation):
    """Put hiss beneath the sound, as tapes have it: even at first, then louder with frequency.

    What a replay amplifier does to the treble of a tape it does to the tape's noise, too. The level
    is that of all the hiss that the rate can hold, compared with the speech, of which pauses are no
    part. Each channel has hiss of its own.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the replay time constants of IEC 60094-1; Valimaki et al., Digital Audio Antiquing,
    J. Audio Eng. Soc. 56(3), 2008, on hiss.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    At -20 dB the hiss has a tenth of the level of the speech:

    >>> wave = torch.ones(1, 100)
    >>> noisy, _ = Hiss(HissConfig(level_db=-20))(wave, torch.Generator().manual_seed(1))
    >>> round((noisy - wave).square().mean().sqrt().item(), 5)
    0.1
    """

    Config = HissConfig
    config: HissConfig
    differentiable = True
    adds_sound = True
    own_seeds = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its hiss, at a level that goes with its speech."""
        level = level_beneath(wave, values, sample_rate)
        gain = torch.cat([rising(own, sample_rate) for own in values])
        hiss = shaped_noise([own["seed"] for own in values], wave.shape[-1], gain, wave)
        return wave + hiss.mul_(level / rms(hiss))


def rising(values: Mapping[str, Any], sample_rate: int) -> Tensor:
    """The gain of hiss over frequency, (1, bins): 1 below its corner, then the slope.

    >>> flat = {"corner_hz": 100, "slope_db": OCTAVE_DB, "top_hz": 192000}
    >>> rising(flat, 32000)[0, [0, 256, 512]].log2().round(decimals=2).tolist()
    [0.0, 5.32, 6.32]
    """
    frequency = torch.linspace(0, sample_rate / 2, BINS, dtype=torch.float64)
    rise: Tensor = (1 + (frequency / values["corner_hz"]) ** 2) ** (
        values["slope_db"] / OCTAVE_DB / 2
    )
    fall: Tensor = (1 + (frequency / values["top_hz"]) ** 4).rsqrt()
    return (rise * fall)[None]

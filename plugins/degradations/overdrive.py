"""Soft saturation, as an amplifier or tape driven far too hard has it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrRange,
    back_to,
    in_double,
    peak,
    recursive_filter,
    to_peak,
)
from selfremaster.core.interfaces import ComponentConfig

Decibel = Annotated[float, Field(ge=0, le=100)]
Colour = Annotated[float, Field(ge=0, le=100)]


class OverdriveConfig(ComponentConfig):
    """Settings of `Overdrive`; the defaults are the published ones."""

    gain: Annotated[
        ValueOrRange[Decibel],
        Drawn(),
        Field(description="how far the sound is driven into saturation, dB; [low, high] draws it"),
    ] = 40.0
    colour: Annotated[
        ValueOrRange[Colour],
        Drawn(),
        Field(description="amount of even harmonics, 0 to 100; [low, high] draws it"),
    ] = 20.0
    peak_db: PeakDb = None


class Overdrive(SettledDegradation):
    """Distort the sound as an overloaded amplifier does: loud parts are squeezed and roughened.

    SoX's overdrive: the wave times the gain, plus colour / 200, is bent by v - v^3 / 3 within +-1,
    a 0.995 DC blocker follows, and 3/4 of that plus 1/2 of the wave, within full scale, is heard.
    The published files are normalised afterwards: ``overdrive:peak_db=-3``. An item that is silent
    throughout stays silent; SoX would have the colour's offset die away audibly.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: SelfRemaster (Interspeech 2022), section 4.1, "overdriven"; SoX 14.4, overdrive.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A first sample of 1 at gain 0 is bent to 2/3, so that 3/4 * 2/3 + 1/2 = 1 is heard:

    >>> import torch
    >>> plain = Overdrive(OverdriveConfig(gain=0, colour=0))
    >>> plain.apply(torch.tensor([[1.0, 1.0]]), {}).round(decimals=4).tolist()
    [[1.0, 0.9975000023841858]]
    """

    Config = OverdriveConfig
    config: OverdriveConfig
    differentiable = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Overdrive every wave of a batch alike; full scale is where the amplifier ends."""
        del sample_rate
        # twice full scale saturates as anything above it does, and cannot overflow
        dry = in_double(wave).clamp(-2, 2)
        driven = (dry * 10 ** (values["gain"] / 20) + values["colour"] / 200).clamp(-1, 1)
        blocked = recursive_filter(driven - driven**3 / 3, (1.0, -1.0), (1.0, -0.995))
        heard = (0.5 * dry + 0.75 * blocked).clamp(-1, 1)
        audible = heard.where(peak(dry) > 0, 0.0)
        return back_to(to_peak(audible, values["peak_db"]), wave)

"""Soft saturation, as an amplifier or tape driven far too hard has it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrRange,
    column,
    factors,
    peak,
)
from selfremaster.core.filtering import recursive_filter
from selfremaster.core.interfaces import ComponentConfig

DC_BLOCKER = np.array([[1.0, -1.0, 0.0, 1.0, -0.995, 0.0]])

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
    scales = False

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Overdrive every wave by its own gain; full scale is where the amplifier ends."""
        del sample_rate
        audible = peak(wave) > 0
        # twice full scale saturates as anything above it does, and cannot overflow
        dry = wave.clamp(-2, 2)
        factor = factors(values, "gain", wave)
        offset = column(values, "colour", wave) / 200
        bent = bend((dry * factor).add_(offset).clamp_(-1, 1))
        heard = recursive_filter(bent, DC_BLOCKER).mul_(0.75).add_(dry, alpha=0.5)
        return heard.clamp_(-1, 1).mul_(audible)


def bend(driven: Tensor) -> Tensor:
    """What saturates at the ends of +-1: v - v^3 / 3.

    >>> import torch
    >>> bend(torch.tensor([-1.0, 0.0, 0.3])).round(decimals=3).tolist()
    [-0.6669999957084656, 0.0, 0.29100000858306885]
    """
    return driven * driven.square().div_(-3).add_(1)

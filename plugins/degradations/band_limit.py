"""Loss of the high frequencies, as the paper simulates old microphones, lines and worn media."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, PeakDb, SettledDegradation, ValueOrRange, settle
from selfremaster.core.filtering import Sections, lag_of, recursive_filter
from selfremaster.core.interfaces import ComponentConfig, Parameters

Hertz = Annotated[float, Field(ge=1, le=192000)]
Quality = Annotated[float, Field(ge=0.05, le=50)]


class BandLimitConfig(ComponentConfig):
    """Settings of `BandLimit`; the defaults are the published ones."""

    cutoff_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(description="corner frequency, Hz; [low, high] draws it evenly by octaves"),
    ] = 1000.0
    q: Annotated[
        ValueOrRange[Quality],
        Drawn(),
        Field(description="height of the resonance at the corner; [low, high] draws it"),
    ] = 1.0
    peak_db: PeakDb = None


class BandLimit(SettledDegradation):
    """Muffle the sound: what lies above the cutoff falls by 12 dB an octave.

    A second-order low-pass (R. Bristow-Johnson's cookbook), in float64, from rest; `filter` has the
    other sorts. A cutoff at or above half the rate leaves the sound as it is. The published files
    are normalised afterwards: ``band-limit:peak_db=-3``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: SelfRemaster (Interspeech 2022), section 4.1, "band-limited".
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A cutoff of a quarter of the rate has the weights 1, 2, 1 over 3:

    >>> import torch
    >>> quarter = BandLimit(BandLimitConfig(cutoff_hz=1000, q=1))
    >>> quarter.apply(torch.tensor([[3.0, 0.0, 0.0, 0.0]]), {}, sample_rate=4000).tolist()
    [[1.0, 2.0, 0.6666666865348816, -0.6666666865348816]]
    """

    Config = BandLimitConfig
    config: BandLimitConfig
    differentiable = True

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """Where the low-pass answers a click most."""
        values = settle(self.config, parameters)
        if values["cutoff_hz"] >= sample_rate / 2:
            return 0
        return lag_of(low_pass(values["cutoff_hz"], values["q"], sample_rate), sample_rate)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Run every wave of a batch through the same low-pass, from rest."""
        if values["cutoff_hz"] >= sample_rate / 2:
            return wave.clone()
        section = low_pass(values["cutoff_hz"], values["q"], sample_rate)
        return recursive_filter(wave, section)


def low_pass(cutoff_hz: float, q: float, sample_rate: int) -> Sections:
    """The cookbook's second-order low-pass, (1, 6), unity gain at 0 Hz."""
    angle = 2 * math.pi * cutoff_hz / sample_rate
    damping = math.sin(angle) / (2 * q)
    rise = 1 - math.cos(angle)
    numerator = (rise / 2, rise, rise / 2)
    denominator = (1 + damping, -2 * math.cos(angle), 1 - damping)
    return np.array([[*numerator, *denominator]]) / (1 + damping)

"""A telephone line: the narrow band of the exchange and, where it is digital, its coder."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from scipy.signal import butter, sosfilt
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    SettledDegradation,
    ValueOrRange,
    back_to,
    in_double,
    over_peak,
)
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig

MU = 255
STEPS = 127  # of each sign; a step of zero between them keeps silence silent
LowHertz = Annotated[float, Field(ge=20, le=1000)]
HighHertz = Annotated[float, Field(ge=1500, le=20000)]


class TelephoneConfig(ComponentConfig):
    """Settings of `Telephone`; the defaults are lines of a digital exchange."""

    low_hz: Annotated[
        ValueOrRange[LowHertz],
        Drawn(),
        Field(description="lower edge of the band, Hz; [low, high] draws it"),
    ] = (200.0, 400.0)
    high_hz: Annotated[
        ValueOrRange[HighHertz],
        Drawn(),
        Field(description="upper edge of the band, Hz; [low, high] draws it"),
    ] = (2700.0, 3400.0)
    order: Annotated[int, Field(ge=1, le=8, description="of each edge: 6 dB an octave each")] = 4
    mu_law: Annotated[
        bool, Field(description="code every sample in 8 bits, as digital lines do")
    ] = True


class Telephone(SettledDegradation):
    """Keep only what a telephone line lets through, with the grain of its 8-bit coder.

    A Butterworth band-pass of second-order sections, run in float64 from rest; an upper edge at or
    above half the rate takes nothing away. Then, unless ``mu_law`` is off, each sample is coded by
    the mu-law curve relative to the item's peak, so that quiet speech is not lost in the coder.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: ITU-T G.712 (the band) and G.711 (the curve, here without its piecewise approximation).
    Raises `ComponentError` for parameters that are not settings or out of their range, and for a
    rate too low to carry anything of the band.

    >>> import torch
    >>> line = Telephone(TelephoneConfig(low_hz=300, high_hz=3400, mu_law=False))
    >>> steady = line.apply(torch.ones(1, 22050), {})  # 0 Hz is no sound: it does not pass
    >>> round(steady[0, -1].abs().item(), 6)
    0.0
    """

    Config = TelephoneConfig
    config: TelephoneConfig

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Send every wave of a batch over the same line."""
        # at full scale no input can overflow the filter
        scaled, level = over_peak(in_double(wave.detach()))
        sections = band_pass(values["low_hz"], values["high_hz"], values["order"], sample_rate)
        narrow = torch.from_numpy(sosfilt(sections, scaled.cpu().numpy(), axis=-1)).to(level.device)
        return back_to((mu_law_coded(narrow) if values["mu_law"] else narrow) * level, wave)


def band_pass(low_hz: float, high_hz: float, order: int, sample_rate: int) -> Any:
    """Second-order sections of the line's band, as far as it lies below half the rate."""
    if low_hz >= sample_rate / 2:
        raise ComponentError(
            f"a rate of {sample_rate} Hz carries nothing above low_hz={low_hz:g}; resample the wave"
        )
    if high_hz >= sample_rate / 2:
        return butter(order, low_hz, "highpass", fs=sample_rate, output="sos")
    return butter(order, (low_hz, high_hz), "bandpass", fs=sample_rate, output="sos")


def mu_law_coded(wave: Tensor) -> Tensor:
    """Round samples to the 255 values of the mu-law curve; beyond full scale they are cut.

    >>> mu_law_coded(torch.tensor([0.0, 0.001, -1.0, 1.5])).round(decimals=3).tolist()
    [0.0, 0.0010000000474974513, -1.0, 1.0]
    """
    loudness = torch.log1p(MU * wave.abs().clamp(max=1)) / math.log1p(MU)
    coded = torch.round(loudness * STEPS) / STEPS
    return torch.sign(wave) * torch.expm1(coded * math.log1p(MU)) / MU

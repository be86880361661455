"""Loss of the high frequencies, as old microphones, lines and worn media have it."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field
from scipy import signal
from torch import Tensor
from torch.nn import functional

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    back_to,
    in_double,
    over_peak,
    recursive_filter,
    to_peak,
)
from selfremaster.core.interfaces import ComponentConfig

Hertz = Annotated[float, Field(ge=1, le=192000)]
Quality = Annotated[float, Field(ge=0.05, le=50)]
Order = Annotated[int, Field(ge=2, le=9)]
Family = Literal["biquad", "butterworth", "chebyshev1", "chebyshev2", "bessel", "elliptic"]
Coefficients = tuple[float, ...]

RIPPLE_DB = 0.5  # of the passband of chebyshev1 and elliptic
STOP_DB = 60.0  # what chebyshev2 and elliptic take away at least
HIGHEST = 0.999  # of half the rate: nearer to it a design is all rounding
RINGING_PERIODS = 20  # of the cutoff, which a filter run backwards is given to swing in


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
        Field(description="biquad: height of the resonance at the corner; [low, high] draws it"),
    ] = 1.0
    kind: Annotated[
        ValueOrChoices[Family],
        Drawn("choice"),
        Field(
            description="the cookbook's biquad, butterworth, chebyshev1 (ripple 0.5 dB), "
            "chebyshev2 (60 dB down from the corner on), bessel, or elliptic (0.5 dB, 60 dB); a "
            "list draws one of it"
        ),
    ] = "biquad"
    order: Annotated[
        ValueOrRange[Order],
        Drawn(step=1),
        Field(description="steepness, of all but the biquad; [low, high] draws it"),
    ] = 2
    zero_phase: Annotated[
        bool,
        Field(description="filter forwards and backwards: twice as steep, and no sound is delayed"),
    ] = False
    peak_db: PeakDb = None


class BandLimit(SettledDegradation):
    """Muffle the sound: what lies above the cutoff falls, by default by 12 dB an octave.

    By default a second-order low-pass (R. Bristow-Johnson's cookbook); other kinds and orders run
    as a chain of second-order sections, so that no draw is unstable. All run in float64, from rest.
    A cutoff at or above half the rate leaves the sound as it is. The published files are normalised
    afterwards: ``band-limit:peak_db=-3``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: SelfRemaster (Interspeech 2022), section 4.1, "band-limited"; kinds, orders and zero
    phase: the augmentation of IEEE Access 2024.
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

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Run every wave of a batch through the same low-pass, from rest."""
        cutoff_hz = values["cutoff_hz"]
        if cutoff_hz >= sample_rate / 2:
            return to_peak(wave.clone(), values["peak_db"])
        if values["kind"] == "biquad":
            sections: tuple[tuple[Coefficients, Coefficients], ...] = (
                low_pass(cutoff_hz, values["q"], sample_rate),
            )
        else:
            sections = steep_low_pass(values["kind"], values["order"], cutoff_hz, sample_rate)
        # the filter is linear: at full scale no input can overflow it
        scaled, level = over_peak(in_double(wave))
        if values["zero_phase"]:
            samples = wave.shape[-1]
            tail = math.ceil(RINGING_PERIODS * sample_rate / cutoff_hz)
            padded = functional.pad(scaled, (0, min(tail, sample_rate)))
            muffled = _run(_run(padded, sections).flip(-1), sections).flip(-1)[..., :samples]
        else:
            muffled = _run(scaled, sections)
        return back_to(to_peak(muffled * level, values["peak_db"]), wave)


def _run(wave: Tensor, sections: tuple[tuple[Coefficients, Coefficients], ...]) -> Tensor:
    for numerator, denominator in sections:
        wave = recursive_filter(wave, numerator, denominator)
    return wave


def low_pass(cutoff_hz: float, q: float, sample_rate: int) -> tuple[Coefficients, Coefficients]:
    """Numerator and denominator of the cookbook's second-order low-pass, unity gain at 0 Hz."""
    angle = 2 * math.pi * cutoff_hz / sample_rate
    damping = math.sin(angle) / (2 * q)
    rise = 1 - math.cos(angle)
    scale = 1 + damping
    numerator = (rise / 2 / scale, rise / scale, rise / 2 / scale)
    denominator = (1.0, -2 * math.cos(angle) / scale, (1 - damping) / scale)
    return numerator, denominator


@lru_cache(maxsize=64)
def steep_low_pass(
    kind: str, order: int, cutoff_hz: float, sample_rate: int
) -> tuple[tuple[Coefficients, Coefficients], ...]:
    """Numerators and denominators of the second-order sections of a classical low-pass."""
    corner = min(2 * cutoff_hz / sample_rate, HIGHEST)
    match kind:
        case "butterworth":
            rows = signal.butter(order, corner, output="sos")
        case "chebyshev1":
            rows = signal.cheby1(order, RIPPLE_DB, corner, output="sos")
        case "chebyshev2":
            rows = signal.cheby2(order, STOP_DB, corner, output="sos")
        case "bessel":
            rows = signal.bessel(order, corner, output="sos")
        case _:
            rows = signal.ellip(order, RIPPLE_DB, STOP_DB, corner, output="sos")
    return tuple((tuple(row[:3].tolist()), tuple(row[3:].tolist())) for row in rows)

"""The classical filters: what a line, a medium or a machine lets through."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import signal
from torch import Tensor
from torch.nn import functional

from selfremaster.core.damage import (
    Drawn,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    settle,
)
from selfremaster.core.filtering import Sections, impulse_response, lag_of, recursive_filter
from selfremaster.core.interfaces import ComponentConfig, Parameters

Hertz = Annotated[float, Field(ge=1, le=192000)]
Order = Annotated[int, Field(ge=1, le=12)]
Ripple = Annotated[float, Field(gt=0, le=6)]
Stop = Annotated[float, Field(ge=20, le=160)]
Family = Literal["butterworth", "chebyshev1", "chebyshev2", "bessel", "elliptic"]

FAMILIES = {
    "butterworth": "butter",
    "chebyshev1": "cheby1",
    "chebyshev2": "cheby2",
    "bessel": "bessel",
    "elliptic": "ellip",
}
HIGHEST = 0.999  # of half the rate: nearer to it a design is all rounding
LOWEST = 1e-4
NARROWEST = 1.05  # between both limits of a band
RINGING_SECONDS = 1.0  # at most that a filter run backwards is given to die away in


class FilterConfig(ComponentConfig):
    """Settings of `Filter`."""

    low_hz: Annotated[
        ValueOrRange[Hertz] | None,
        Drawn("log"),
        Field(description="lowest frequency that passes; [low, high] draws it; none: 0 Hz"),
    ] = None
    high_hz: Annotated[
        ValueOrRange[Hertz] | None,
        Drawn("log"),
        Field(description="highest that passes; [low, high] draws it; none: half the rate"),
    ] = 4000.0
    kind: Annotated[
        ValueOrChoices[Family],
        Drawn("choice"),
        Field(
            description="butterworth (3 dB less at a limit), chebyshev1 (ripples where it passes), "
            "chebyshev2 (ripples beyond, and from a limit on all is lost), bessel (does not ring), "
            "elliptic (steepest); a list draws one of it"
        ),
    ] = "butterworth"
    order: Annotated[
        ValueOrRange[Order],
        Drawn(step=1),
        Field(description="steepness of each side, 6 dB an octave each; [low, high] draws it"),
    ] = 4
    ripple_db: Annotated[
        ValueOrRange[Ripple],
        Drawn(),
        Field(description="where chebyshev1 and elliptic pass, dB; [low, high] draws it"),
    ] = 0.5
    stop_db: Annotated[
        ValueOrRange[Stop],
        Drawn(),
        Field(description="what chebyshev2 and elliptic take away, dB; [low, high] draws it"),
    ] = 60.0
    zero_phase: Annotated[
        ValueOrChoices[bool],
        Drawn("choice"),
        Field(
            description="filter forwards and backwards: twice as steep, and no sound is delayed; "
            "[true, false] draws it"
        ),
    ] = False

    @model_validator(mode="after")
    def _check_limits(self) -> "FilterConfig":
        if self.low_hz is None and self.high_hz is None:
            raise ValueError("nothing is filtered; give low_hz, high_hz or both")
        if self.low_hz is not None and self.high_hz is not None:
            highest = self.low_hz[-1] if isinstance(self.low_hz, tuple) else self.low_hz
            lowest = self.high_hz[0] if isinstance(self.high_hz, tuple) else self.high_hz
            if highest * NARROWEST > lowest:
                raise ValueError(
                    f"low_hz up to {highest:g} and high_hz from {lowest:g} leave no band; "
                    "keep them 5 percent apart"
                )
        return self


class Filter(SettledDegradation):
    """Let a band through: a low-pass, a high-pass, or both, of a classical family.

    The filter runs as second-order sections in float64, from rest, so that no draw is unstable. An
    upper limit at or above half the rate is none; with such a lower limit the sound is lost.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the augmentation of IEEE Access 2024; designs of scipy.signal.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A Butterworth filter has lost 3 dB at its limit, 10^(-3/20) = 0.708:

    >>> import torch
    >>> tone = torch.sin(2 * math.pi * 4000 * torch.arange(22050) / 22050)[None]
    >>> heard = Filter(FilterConfig(high_hz=4000)).apply(tone, {}, sample_rate=22050)
    >>> round(heard[0, 2000:].std().item() / tone.std().item(), 3)
    0.707
    """

    Config = FilterConfig
    config: FilterConfig
    differentiable = True

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """Where the filter answers a click most; 0 where it runs backwards, too."""
        values = settle(self.config, parameters)
        low, high = _limits(values, sample_rate)
        if values["zero_phase"] or (low is None and high is None) or (low or 0) >= 1:
            return 0
        return lag_of(_sections(values, sample_rate), math.ceil(RINGING_SECONDS * sample_rate))

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Run every wave of a batch through the same sections."""
        low, high = _limits(values, sample_rate)
        if low is not None and low >= 1:
            return wave * 0
        if low is None and high is None:
            return wave.clone()
        sections = _sections(values, sample_rate)
        if not values["zero_phase"]:
            return recursive_filter(wave, sections)
        tail = len(impulse_response(sections, math.ceil(RINGING_SECONDS * sample_rate)))
        padded = recursive_filter(functional.pad(wave, (0, tail)), sections)
        there_and_back = recursive_filter(padded.flip(-1), sections).flip(-1)
        return there_and_back[..., : wave.shape[-1]]


def _limits(values: Mapping[str, Any], sample_rate: int) -> tuple[float | None, float | None]:
    """What passes, as parts of half the rate; none where there is no limit."""
    given = (values["low_hz"], values["high_hz"])
    low, high = (None if limit is None else 2 * limit / sample_rate for limit in given)
    return low, None if high is not None and high >= 1 else high


def _sections(values: Mapping[str, Any], sample_rate: int) -> Sections:
    low, high = _limits(values, sample_rate)
    return design(
        values["kind"], values["order"], low, high, values["ripple_db"], values["stop_db"]
    )


@lru_cache(maxsize=64)
def design(
    kind: str,
    order: int,
    low: float | None,
    high: float | None,
    ripple_db: float = 0.5,
    stop_db: float = 60.0,
) -> Sections:
    """The second-order sections of a classical filter; limits as parts of half the rate."""
    shape: str
    corner: float | list[float]
    if low is not None and high is not None:
        lowest = min(max(low, LOWEST), HIGHEST / NARROWEST)
        shape, corner = "bandpass", [lowest, min(max(high, lowest * NARROWEST), HIGHEST)]
    else:
        shape = "lowpass" if low is None else "highpass"
        corner = min(max(next(own for own in (low, high) if own is not None), LOWEST), HIGHEST)
    rows = signal.iirfilter(
        order, corner, ripple_db, stop_db, shape, ftype=FAMILIES[kind], output="sos"
    )
    sections: Sections = np.asarray(rows, dtype=np.float64)
    return sections

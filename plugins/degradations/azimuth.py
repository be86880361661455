"""Azimuth error: a head that does not stand at the angle at which the tape was recorded."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from selfremaster.core.damage import (
    Drawn,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    column,
    settle,
)
from selfremaster.core.filtering import convolve
from selfremaster.core.interfaces import ComponentConfig, Parameters

Minutes = Annotated[float, Field(ge=-120, le=120)]
Millimetres = Annotated[float, Field(ge=0, le=25.4)]
Speed = Annotated[float, Field(ge=1, le=200)]

LONGEST_LAG_SECONDS = 0.1
FINEST_HZ = 12.0  # that the filter tells apart, at least


class AzimuthConfig(ComponentConfig):
    """Settings of `Azimuth`."""

    minutes: Annotated[
        ValueOrRange[Minutes],
        Drawn(),
        Field(description="angle between head and recording, minutes of arc; [low, high] draws it"),
    ] = 20.0
    track_mm: Annotated[
        ValueOrRange[Millimetres],
        Drawn(),
        Field(
            description="width of the track: 1.5 cassette in mono, 0.6 in stereo, 6.3 quarter-inch "
            "full track; [low, high] draws it"
        ),
    ] = 1.5
    speed_cm_s: Annotated[
        ValueOrRange[Speed],
        Drawn("log"),
        Field(description="of the tape: cassettes have 4.76, reels up to 76.2; [low, high] draws"),
    ] = 4.76
    spacing_mm: Annotated[
        ValueOrRange[Millimetres],
        Drawn(),
        Field(
            description="between the middles of two tracks: 0.9 cassette in stereo; 0: all "
            "channels are of one track; [low, high] draws it"
        ),
    ] = 0.0
    summed: Annotated[
        ValueOrChoices[bool],
        Drawn("choice"),
        Field(
            description="whether the sound is the sum of two such tracks, as mono of stereo; "
            "[true, false] draws it"
        ),
    ] = False
    offset_seconds: Annotated[
        float,
        Field(
            ge=-LONGEST_LAG_SECONDS,
            le=LONGEST_LAG_SECONDS,
            description="lag of this track; drawn for the channels of one recording",
        ),
    ] = 0.0

    @model_validator(mode="after")
    def _check_tracks(self) -> "AzimuthConfig":
        widest = self.track_mm[-1] if isinstance(self.track_mm, tuple) else self.track_mm
        spacing = self.spacing_mm
        nearest, farthest = spacing if isinstance(spacing, tuple) else (spacing, spacing)
        if farthest > 0 and widest > nearest:
            raise ValueError(
                f"tracks up to {widest:g} mm wide cannot lie {nearest:g} mm apart; give a track_mm "
                "of spacing_mm at most (cassette in stereo: 0.6 and 0.9), or spacing_mm=0"
            )
        summed = any(self.summed) if isinstance(self.summed, tuple) else self.summed
        if summed and nearest == 0:
            raise ValueError("one track is not a sum; give summed a spacing_mm above 0")
        return self


class Azimuth(SettledDegradation):
    """Play the sound with a tilted head: it grows dull, and channels lag behind each other.

    Across the track the head reads moments that lie up to track * tan(angle) / speed apart: their
    mean is the sound times sin(a) / a, a = pi frequency track tan(angle) / speed, which is silent
    at 5455 Hz for the defaults. Two tracks that are ``summed`` lie spacing * tan(angle) / speed
    apart: the sound times cos(pi frequency spacing tan(angle) / speed). The channels of one
    recording lag by as much each behind the one before (by a negative angle, lead it); the first
    does not lag. Nothing else is delayed. By default there is one track, of a cassette in mono; a
    stereo one is ``azimuth:track_mm=0.6,spacing_mm=0.9``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: F. Jorgensen, The Complete Handbook of Magnetic Recording, on azimuth alignment.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    At 4.76 cm/s tan(20') * 1.5 mm takes 0.1833 ms; 0.5 / 0.1833 ms is 2727 Hz, which loses 2 / pi:

    >>> tone = torch.sin(2 * math.pi * 2727 * torch.arange(22050) / 22050)[None]
    >>> heard = Azimuth(AzimuthConfig()).apply(tone, {}, sample_rate=22050)
    >>> round(heard[0, 2000:-2000].std().item() / tone[0, 2000:-2000].std().item(), 3)
    0.637
    """

    Config = AzimuthConfig
    config: AzimuthConfig
    differentiable = True

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """The same for all channels, but for their lag behind the first."""
        first = self.draw(generator, sample_rate)
        lag = 0.0 if first["summed"] else apart_seconds(first, "spacing_mm")
        limit = LONGEST_LAG_SECONDS
        lags = [first["offset_seconds"] + channel * lag for channel in range(channels)]
        return [{**first, "offset_seconds": min(max(own, -limit), limit)} for own in lags]

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """The lag of this track; of a sum that of the later one, which has an equal before it."""
        values = settle(self.config, parameters)
        behind = abs(apart_seconds(values, "spacing_mm")) / 2 if values["summed"] else 0.0
        return whole_lag(values, sample_rate) + round(behind * sample_rate)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Play every wave with the same head."""
        kernels, origin = azimuth_kernels([values], sample_rate)
        return convolve(wave, kernels, origin - whole_lag(values, sample_rate))

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Play each wave with a head of its own."""
        kernels, origin = azimuth_kernels(values, sample_rate)
        lags = [whole_lag(own, sample_rate) for own in values]
        if len(set(lags)) == 1:
            return convolve(wave, kernels, origin - lags[0])
        rows = [
            convolve(wave[row : row + 1], kernels[row : row + 1], origin - lag)
            for row, lag in enumerate(lags)
        ]
        return torch.cat(rows)


def whole_lag(values: Mapping[str, Any], sample_rate: int) -> int:
    """The lag of a track to the nearest sample."""
    lag: float = values["offset_seconds"]
    return round(lag * sample_rate)


def apart_seconds(values: Mapping[str, Any], distance: str) -> float:
    """How far apart the head reads the two ends of a distance across the tape."""
    angle = math.radians(values["minutes"] / 60)
    # mm over cm/s are tenths of a second
    return float(values[distance] / 10 * math.tan(angle) / values["speed_cm_s"])


def azimuth_kernels(values: Sequence[Mapping[str, Any]], sample_rate: int) -> tuple[Tensor, int]:
    """What a tilted head does to the sound, but for `whole_lag`; (sets, taps), their origin."""
    size = 2 ** math.ceil(math.log2(sample_rate / FINEST_HZ))
    half = size // 2
    hertz = torch.linspace(0, sample_rate / 2, half + 1, dtype=torch.float64)
    track, spacing = (
        torch.tensor([[apart_seconds(own, name)] for own in values], dtype=torch.float64)
        for name in ("track_mm", "spacing_mm")
    )
    summed = column(values, "summed", hertz)
    gain = torch.sinc(hertz * track) * torch.cos(math.pi * hertz * spacing * summed)
    lags = [own["offset_seconds"] - whole_lag(own, sample_rate) / sample_rate for own in values]
    lag = torch.tensor(lags, dtype=torch.float64)[:, None]
    response = torch.polar(torch.ones_like(gain), -2 * math.pi * hertz * lag) * gain
    moment = torch.arange(-half, half, dtype=torch.float64)
    # the window goes with the lag, or it would weaken what is late
    place = ((moment - lag * sample_rate) / size).clamp(-0.5, 0.5)
    kernel = torch.fft.irfft(response, size).roll(half, -1) * torch.cos(math.pi * place).square()
    return kernel, half

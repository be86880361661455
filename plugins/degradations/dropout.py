"""Dropouts of tapes: dirt lifts the tape off the head, or coating is missing."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    SEEDS,
    Drawn,
    Seed,
    SettledDegradation,
    ValueOrRange,
    column,
    seeded,
)
from selfremaster.core.filtering import convolve, zero_phase_kernel
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.noises import moments_of_chance

PerSecond = Annotated[float, Field(ge=0, le=50)]
Seconds = Annotated[float, Field(ge=0.001, le=2)]
Decibels = Annotated[float, Field(ge=0, le=120)]
Micrometres = Annotated[float, Field(ge=0, le=100)]
Speed = Annotated[float, Field(ge=1, le=200)]

EDGE = 0.25  # of a dropout, at either end, in which the sound goes and comes back
FILTER_BINS = 1025
BLOCK_SAMPLES = 2**18


class DropoutConfig(ComponentConfig):
    """Settings of `Dropout`."""

    per_second: Annotated[
        ValueOrRange[PerSecond],
        Drawn(),
        Field(description="how many there are on average; [low, high] draws it"),
    ] = 1.0
    seconds: Annotated[
        ValueOrRange[Seconds],
        Field(description="how long one lasts; [low, high] for each its own, evenly by octaves"),
    ] = (0.02, 0.2)
    depth_db: Annotated[
        ValueOrRange[Decibels],
        Field(description="what all frequencies lose meanwhile; [low, high] for each its own"),
    ] = (10.0, 40.0)
    spacing_um: Annotated[
        ValueOrRange[Micrometres],
        Drawn(),
        Field(description="distance of tape and head meanwhile, micrometres; [low, high] draws it"),
    ] = 2.0
    speed_cm_s: Annotated[
        ValueOrRange[Speed],
        Drawn("log"),
        Field(description="of the tape: cassettes have 4.76, reels up to 76.2; [low, high] draws"),
    ] = 4.76
    seed: Seed = None


class Dropout(SettledDegradation):
    """Let the sound drop out for moments: it grows soft, and dull, and comes back.

    Dropouts begin by chance, independently of each other (a Poisson process). In the first and the
    last quarter of each the sound goes and comes back along half a cosine. Between them it is down
    by ``depth_db`` and by the spacing loss, 54.6 dB for each wavelength of distance: at 4.76 cm/s
    and 2 micrometres 2.3 dB at 1000 Hz, 11.5 dB at 5000 Hz. Those that overlap add up. Outside of
    them not a bit is changed. Each channel, a track of its own, has its own.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: R. L. Wallace, The Reproduction of Magnetically Recorded Signals (Bell System Technical
    Journal, 1951), for the spacing loss.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    At a depth of 20 dB a tenth is left:

    >>> missing = Dropout(DropoutConfig(per_second=0.5, depth_db=20, spacing_um=0))
    >>> heard, _ = missing(torch.ones(1, 220500), torch.Generator().manual_seed(1))
    >>> round(heard.min().item(), 4), heard.max().item()
    (0.1, 1.0)
    """

    Config = DropoutConfig
    config: DropoutConfig
    differentiable = True
    own_seeds = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Let all waves drop out at the same moments."""
        return self._drop(wave, [values], sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Let each wave drop out at its own moments."""
        return self._drop(wave, values, sample_rate)

    def _drop(self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
        samples = wave.shape[-1]
        events = [dropouts(own, samples / sample_rate) for own in values]
        spaced = any(own["spacing_um"] for own in values)
        kernel = spacing_kernels(values, sample_rate) if spaced else None
        pieces = []
        for start in range(0, samples, BLOCK_SAMPLES):
            part = wave[:, start : start + BLOCK_SAMPLES]
            gain, close = torch.ones(2, len(events), part.shape[-1], dtype=wave.dtype).unbind()
            met = [
                drop(left, near, own, start, sample_rate)
                for left, near, own in zip(gain, close, events, strict=True)
            ]
            if any(met):
                dull = part if kernel is None else _around(wave, start, part.shape[-1], *kernel)
                part = torch.lerp(dull, part, close.to(wave.device)) * gain.to(wave.device)
            pieces.append(part)
        return torch.cat(pieces, dim=-1)


def _around(wave: Tensor, start: int, samples: int, kernels: Tensor, origin: int) -> Tensor:
    """A stretch of the wave as it is heard through kernels, which know what lies around it."""
    first, reach = max(start - kernels.shape[-1], 0), start + samples + kernels.shape[-1]
    heard = convolve(wave[:, first:reach], kernels, origin)
    return heard[:, start - first :][:, :samples]


def dropouts(values: Mapping[str, Any], seconds: float) -> Tensor:
    """When each dropout begins, how long it lasts (seconds), and what is left, a factor.

    Shape: -> (dropouts, 3), float64.
    """
    begins = moments_of_chance(values["seed"], values["per_second"], seconds)
    # other chance than that of the moments, or long ones would follow long pauses
    generator = seeded(values["seed"] + SEEDS)
    chance = torch.rand(len(begins), 2, generator=generator, dtype=torch.float64)
    shortest, longest = _limits(values["seconds"])
    least, most = _limits(values["depth_db"])
    lasts = shortest * (longest / shortest) ** chance[:, 0]
    left = 10 ** (-(least + (most - least) * chance[:, 1]) / 20)
    return torch.stack([begins, lasts, left], dim=1)


def drop(gain: Tensor, close: Tensor, events: Tensor, first: int, sample_rate: int) -> bool:
    """Multiply two rows of ones where they lie, by what each dropout leaves of the sound.

    Shape: gain (samples,), for all frequencies; close (samples,), 0 where the tape is lifted off;
    both from the sample ``first`` on. Says whether there is any dropout.
    """
    starts = (events[:, 0] * sample_rate).round().long()
    lengths = (events[:, 1] * sample_rate).round().long().clamp(min=1)
    met = (starts < first + len(gain)) & (starts + lengths > first)
    found = zip(starts[met].tolist(), lengths[met].tolist(), events[met, 2].tolist(), strict=True)
    for start, samples, left in found:
        begins, ends = max(start, first), min(start + samples, first + len(gain))
        place = (torch.arange(begins - start, ends - start) + 0.5) / samples
        nearest_end = torch.minimum(place, 1 - place).div_(EDGE).clamp_(max=1)
        stays = nearest_end.mul_(math.pi).cos_().mul_(0.5).add_(0.5).to(gain)
        part = slice(begins - first, ends - first)
        close[part] *= stays
        gain[part] *= stays.mul_(1 - left).add_(left)
    return bool(met.any())


def spacing_kernels(values: Sequence[Mapping[str, Any]], sample_rate: int) -> tuple[Tensor, int]:
    """What a tape sounds through at a distance, 54.6 dB a wavelength; (sets, taps) and origin."""
    exact = torch.empty(0, dtype=torch.float64)
    wavelength_um = column(values, "speed_cm_s", exact) * 1e4  # of 1 Hz
    hertz = torch.linspace(0, sample_rate / 2, FILTER_BINS, dtype=torch.float64)
    wavelengths = column(values, "spacing_um", exact) / wavelength_um * hertz
    return zero_phase_kernel(torch.exp(-2 * math.pi * wavelengths))


def _limits(given: float | Sequence[float]) -> tuple[float, float]:
    return (given[0], given[-1]) if isinstance(given, Sequence) else (given, given)

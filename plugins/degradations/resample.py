"""A low sampling rate on the way, with or without the filters that belong to it."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, PeakDb, SettledDegradation, ValueOrChoices
from selfremaster.core.filtering import convolve
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.signals import resample_hann
from selfremaster.core.warping import read_evenly

Rate = Annotated[int, Field(ge=100, le=192000)]
Rebuilt = Literal["filtered", "linear", "held"]

PASSED = 0.45  # of the rate: up to here nothing is lost, as in converters
STOP_DB = 80.0  # from half the rate on
CROSSINGS = 32  # of the sinc that rebuilds what was sampled without a filter
BLOCK_SAMPLES = 2**18


class ResampleConfig(ComponentConfig):
    """Settings of `Resample`."""

    rate_hz: Annotated[
        ValueOrChoices[Rate],
        Drawn("choice"),
        Field(
            description="sampling rate that the sound passes through, Hz; a list draws one of it"
        ),
    ] = 8000
    aliasing: Annotated[
        ValueOrChoices[bool],
        Drawn("choice"),
        Field(description="sample without a filter: what lies too high folds back"),
    ] = False
    rebuilt: Annotated[
        ValueOrChoices[Rebuilt],
        Drawn("choice"),
        Field(
            description="what lies between two samples: filtered (smooth), linear (a straight "
            "line) or held (a staircase), of which the last two ring above; a list draws one of it"
        ),
    ] = "filtered"
    peak_db: PeakDb = None


class Resample(SettledDegradation):
    """Pass the sound through a lower sampling rate: what lies above half of it is gone.

    With ``aliasing`` no filter comes before the sampling, and a tone above half the rate comes out
    at its distance from the rate. ``rebuilt`` linear or held leaves out the filter behind it: each
    tone is heard a second time, at its distance from the rate, as in early samplers and games.
    Nothing lags; a rate at or above that of the wave changes nothing. With both filters, sampling
    and rebuilding undo each other, so that the filter, of linear phase, is all that is done.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the sampling theorem (C. E. Shannon, 1949); J. F. Kaiser's window (1974), 0.45 to 0.5 of
    the rate for the filter, 80 dB.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    Half the rate, held: each sample is heard until nearer to the next.

    >>> import torch
    >>> held = Resample(ResampleConfig(rate_hz=500, aliasing=True, rebuilt="held"))
    >>> held.apply(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), {}, sample_rate=1000).tolist()
    [[1.0, 3.0, 3.0, 5.0, 5.0]]
    """

    Config = ResampleConfig
    config: ResampleConfig
    differentiable = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Sample every wave of a batch at the lower rate, and rebuild it."""
        rate_hz, rebuilt = values["rate_hz"], values["rebuilt"]
        if rate_hz >= sample_rate:
            return wave.clone()
        kernel = smoothing_kernel(rate_hz / sample_rate).to(wave)[None]
        heard = wave if values["aliasing"] else convolve(wave, kernel, kernel.shape[-1] // 2)
        if rebuilt == "filtered" and not values["aliasing"]:
            return heard
        count = (wave.shape[-1] - 1) * rate_hz // sample_rate + 2
        sampled = read_evenly(heard, count, sample_rate, rate_hz)
        del heard  # minutes of sound need not lie in memory twice
        if rebuilt == "filtered":
            return resample_hann(sampled, rate_hz, sample_rate, CROSSINGS)[:, : wave.shape[-1]]
        return rebuild(sampled, wave.shape[-1], rate_hz, sample_rate, rebuilt)


@lru_cache(maxsize=32)
def smoothing_kernel(part: float) -> Tensor:
    """The low-pass that belongs to a rate, given as a part of the wave's; (odd taps,), float64.

    >>> float(smoothing_kernel(0.5).sum().round(decimals=9))
    1.0
    """
    width = (0.5 - PASSED) * part  # of the transition, as a part of the wave's rate
    half = math.ceil((STOP_DB - 7.95) / (14.36 * width) / 2)
    beta = 0.1102 * (STOP_DB - 8.7)
    place = torch.arange(-half, half + 1, dtype=torch.float64)
    window = torch.special.i0(beta * (1 - (place / half).square()).sqrt())
    kernel: Tensor = torch.sinc(place * (0.5 + PASSED) * part) * window
    return kernel / kernel.sum()


def rebuild(
    sampled: Tensor, samples: int, from_hz: int, to_hz: int, how: Literal["linear", "held"]
) -> Tensor:
    """A wave at a higher rate, each sample held from half-way to half-way, or along straight lines.

    Shape: (batch, any) -> (batch, samples).

    >>> rebuild(torch.tensor([[0.0, 1.0, 0.0]]), 4, 1000, 2000, "linear").tolist()
    [[0.0, 0.5, 1.0, 0.5]]
    """
    divisor = math.gcd(from_hz, to_hz)
    source, target = from_hz // divisor, to_hz // divisor
    place, between = (own.to(sampled.device) for own in _places(source, target, how))
    at_once = max(1, BLOCK_SAMPLES // target)
    pieces = []
    for start in range(0, math.ceil(samples / target), at_once):
        frames = torch.arange(start, start + at_once, device=sampled.device)
        count = min(samples - start * target, at_once * target)
        before = (frames[: math.ceil(count / target), None] * source + place).flatten()[:count]
        heard = sampled.index_select(-1, before)
        if how == "linear":
            share = between.to(sampled.dtype).repeat(math.ceil(count / target))[:count]
            heard = torch.lerp(heard, sampled.index_select(-1, before + 1), share)
        pieces.append(heard)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)


@lru_cache(maxsize=32)
def _places(source: int, target: int, how: Literal["linear", "held"]) -> tuple[Tensor, Tensor]:
    """The sample heard at each of ``target`` moments that take ``source`` samples, and the next's.

    Shape: -> (target,) whole numbers, and (target,), the share of the next sample, float64.
    """
    place = torch.arange(target) * source
    if how == "held":
        return (2 * place + target) // (2 * target), torch.zeros(target, dtype=torch.float64)
    return place // target, (place % target).double() / target

"""A low sampling rate on the way, with or without the filters that belong to it."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, PeakDb, SettledDegradation, ValueOrChoices
from selfremaster.core.filtering import convolve
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.signals import resample_hann
from selfremaster.core.warping import read_at

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
        sampled = read_at(heard, times(0, count, sample_rate, rate_hz)[None])
        if rebuilt == "filtered":
            return resample_hann(sampled, rate_hz, sample_rate, CROSSINGS)[:, : wave.shape[-1]]
        pieces = [
            rebuild(sampled, times(start, stop, rate_hz, sample_rate), rebuilt)
            for start, stop in _blocks(wave.shape[-1])
        ]
        return torch.cat(pieces, dim=-1)


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


def times(start: int, stop: int, from_hz: int, to_hz: int) -> Tensor:
    """Where samples at one rate lie, counted in samples at another; (stop - start,), float64.

    >>> times(0, 3, from_hz=8000, to_hz=16000).tolist()
    [0.0, 0.5, 1.0]
    """
    return torch.arange(start, stop, dtype=torch.float64) * from_hz / to_hz


def rebuild(sampled: Tensor, moments: Tensor, how: Literal["linear", "held"]) -> Tensor:
    """A wave at moments between its samples, held from half-way to half-way or along a line.

    Shape: (batch, samples), (any,) -> (batch, any).

    >>> rebuild(torch.tensor([[0.0, 1.0]]), torch.tensor([0.25]), "linear").tolist()
    [[0.25]]
    """
    if how == "held":
        return sampled[:, (moments + 0.5).floor().long().to(sampled.device)]
    before = moments.floor()
    between = (moments - before).to(sampled)
    first = before.long().to(sampled.device)
    return torch.lerp(sampled[:, first], sampled[:, first + 1], between)


def _blocks(samples: int) -> Iterator[tuple[int, int]]:
    """Where stretches begin and end that are worked on at once."""
    for start in range(0, samples, BLOCK_SAMPLES):
        yield start, min(start + BLOCK_SAMPLES, samples)

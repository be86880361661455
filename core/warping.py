"""Reading a wave at moments between its samples, as a tape or disc at an uneven speed is read."""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional

CROSSINGS = 16  # of the sinc on either side
KAISER_BETA = 7.0
PHASES = 512  # between two samples for which weights are kept; others are interpolated
BLOCK_SAMPLES = 2**11  # whose weights stay near the processor
DEVICE_BLOCK_SAMPLES = 2**16
MOST_PHASES = 1024  # that are worked out one by one
PHASES_SPREAD = 96  # samples that phases worked out together are spread over


class _Read(torch.autograd.Function):
    """The weighted sums, and their adjoint, which hands each sample its share of the gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, wave: Tensor, moments: Tensor, cutoff: float) -> Tensor:
        ctx.asked = moments, cutoff, wave.shape[-1]  # type: ignore[attr-defined]  # kept by autograd
        taps, margin = 2 * half_width(cutoff), _margin(cutoff)
        windows = functional.pad(wave.detach(), (margin, margin)).unfold(-1, taps, 1)
        read = wave.new_empty(len(wave), moments.shape[-1])
        for rows, part, first, weights in _blocks(wave, moments, cutoff, wave.shape[-1]):
            for row in rows:
                # rows are picked several times faster so than by indexing with a tensor
                heard = windows[row].index_select(0, first).mul_(weights)
                torch.sum(heard, -1, out=read[row, part])
        return read

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        moments, cutoff, samples = ctx.asked
        (gradient,) = gradients
        taps, margin = 2 * half_width(cutoff), _margin(cutoff)
        share = gradient.new_zeros(len(gradient), samples + 2 * margin)
        around = torch.arange(taps, device=gradient.device)
        for rows, part, first, weights in _blocks(gradient, moments, cutoff, samples):
            places = (first[:, None] + around).flatten()
            for row in rows:
                own = gradient[row, part, None] * weights
                share[row].index_add_(0, places, own.flatten())
        return share[:, margin : margin + samples], None, None


def read_at(wave: Tensor, moments: Tensor, cutoff: float = 1.0) -> Tensor:
    """The sound at given moments, which lie between samples, by a windowed sinc.

    What lies before and after the wave is silence. A ``cutoff`` below 1, a part of half the rate,
    keeps what is read faster (1 / cutoff times) from folding back. Sound up to 0.8 of the cutoff
    comes out to within -60 dB. Differentiable in the wave, on its device.

    Shape: wave (batch, samples), moments (batch or 1, any) in samples, float64, on the wave's
    device or the processor -> (batch, any).

    >>> read_at(torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([[0.0, 1.0, 2.0, 3.0]])).tolist()
    [[0.0, 1.0, 0.5, 0.0]]
    """
    run: Callable[..., Tensor] = _Read.apply  # typed in some versions of torch only
    return run(wave, moments, cutoff)


def read_evenly(wave: Tensor, count: int, from_hz: int, to_hz: int) -> Tensor:
    """The first samples of a sound at another rate, by the windowed sinc of `read_at`, unfiltered.

    At a lower rate, what lies above half of it folds back. Rates with a common divisor so large
    that few phases come up are worked out a phase at a time, which is much quicker.

    Shape: wave (batch, samples) -> (batch, count).

    >>> read_evenly(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), 3, 2000, 1000).tolist()
    [[1.0, 3.0, 0.0]]
    """
    divisor = math.gcd(from_hz, to_hz)
    source, target = from_hz // divisor, to_hz // divisor
    if target > MOST_PHASES:
        moments = torch.arange(count, dtype=torch.float64) * source / target
        return read_at(wave, moments[None])
    frames = math.ceil(count / target)
    total = frames * source + 2 * CROSSINGS
    padded = functional.pad(wave, (CROSSINGS - 1, total - CROSSINGS + 1 - wave.shape[-1]))
    windows = padded.unfold(-1, source + 2 * CROSSINGS, source)
    read = [
        windows[..., first : first + len(kernel)] @ kernel.to(wave)
        for first, kernel in _phase_kernels(source, target)
    ]
    return torch.cat(read, dim=-1).flatten(1)[:, :count]


@lru_cache(maxsize=16)
def _phase_kernels(source: int, target: int) -> list[tuple[int, Tensor]]:
    """Weights for moments that lie near to each other, and the sample that they begin at.

    Shape: each (samples that they look at, moments), float64.
    """
    together = max(1, PHASES_SPREAD * target // source)
    kernels = []
    for start in range(0, target, together):
        number = torch.arange(start, min(start + together, target))
        before = number * source // target
        weights = sinc_weights((number * source % target).double() / target, 1.0)
        places = (before - before[0])[:, None] + torch.arange(weights.shape[-1])
        kernel = torch.zeros(len(number), int(places[-1, -1]) + 1, dtype=torch.float64)
        kernels.append((int(before[0]), kernel.scatter_(1, places, weights).T))
    return kernels


def half_width(cutoff: float) -> int:
    """How many samples on either side of a moment its sound is made of."""
    return math.ceil(CROSSINGS / cutoff)


def _blocks(
    wave: Tensor, moments: Tensor, cutoff: float, samples: int
) -> Iterator[tuple[range, slice, Tensor, Tensor]]:
    """The waves and moments of each block, and for each moment its first sample and weights."""
    half = half_width(cutoff)
    taps, offset = 2 * half, _margin(cutoff) - half + 1
    table = _weights(cutoff).to(wave)
    size = BLOCK_SAMPLES if wave.device.type == "cpu" else DEVICE_BLOCK_SAMPLES
    for asking, own in enumerate(moments):
        rows = range(len(wave)) if len(moments) == 1 else range(asking, asking + 1)
        for start in range(0, len(own), size):
            part = slice(start, start + size)
            # beyond the ends lies nothing but silence, however far
            asked = own[part].clamp(-half - 1, samples + half)
            before = asked.floor()
            phase = (asked - before).mul_(PHASES)
            nearest = phase.floor().clamp_(max=PHASES - 1)
            between = (phase - nearest).to(wave)[:, None]
            pair = table.index_select(0, nearest.long().to(wave.device))
            weights = torch.addcmul(pair[:, :taps], pair[:, taps:], between)
            yield rows, part, (before.long() + offset).to(wave.device), weights


def _margin(cutoff: float) -> int:
    """The silence before and after the wave that moments just out of its reach look into."""
    return 2 * half_width(cutoff) + 1


@lru_cache(maxsize=32)
def _weights(cutoff: float) -> Tensor:
    """The weights of the samples around a moment, and what they change by to the next phase.

    Shape: -> (PHASES, 4 * half), float64.
    """
    weights = sinc_weights(torch.arange(PHASES + 1, dtype=torch.float64) / PHASES, cutoff)
    return torch.cat([weights[:-1], weights.diff(dim=0)], dim=-1)


def sinc_weights(phase: Tensor, cutoff: float) -> Tensor:
    """The weights of the samples around moments that lie a part of a step behind the middle one.

    Shape: phase (moments,) from 0 to 1, float64 -> (moments, 2 * half), float64.
    """
    half = half_width(cutoff)
    distance = phase[:, None] - torch.arange(-half + 1, half + 1, dtype=torch.float64)
    place = (distance / half).clamp(-1, 1)
    window = torch.special.i0(KAISER_BETA * (1 - place.square()).sqrt())
    crossing = distance * cutoff
    # exactly 0 where it crosses, so that what is read at samples is the samples
    sinc = torch.sinc(crossing).where((crossing == 0) | (crossing != crossing.round()), 0.0)
    weights: Tensor = sinc * window
    return weights / weights.sum(-1, keepdim=True)  # a constant stays the constant that it is

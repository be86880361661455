"""Added sounds: noise, and what rings at sudden moments, from a seed, alike on every device."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.damage import SEEDS, draw_seed, factors, level_of, seeded
from selfremaster.core.filtering import convolve, zero_phase_kernel

SHAPING_BINS = 4097
LOWEST_HZ = 20.0  # below it coloured noise grows no further
NOISE_STEP = 16  # normal numbers are made so many at once; the last ones hang on how many in all
MOMENTS_AT_ONCE = 1024
BLOCK_SAMPLES = 2**16
GONE_DB = 80.0  # below its peak a ring is cut off
HIGHEST = 0.45  # of the rate: what rings faster would be no ring any more

FloorDb = Annotated[
    float,
    Field(ge=-200, le=0, description="level that a softer wave is taken to have, dBFS"),
]
"""The setting that says what is added to silence."""


def white_noise(seeds: Sequence[int], samples: int, like: Tensor) -> Tensor:
    """Noise of RMS 1 from a seed for each row, whose beginning does not depend on its length.

    Shape: -> (seeds, samples), dtype and device of ``like``.
    """
    even = samples // NOISE_STEP * NOISE_STEP
    rows = torch.empty(len(seeds), samples, dtype=torch.float32)
    for row, seed in zip(rows, seeds, strict=True):
        generator = seeded(seed)
        row[:even].normal_(generator=generator)
        if even < samples:
            row[even:] = torch.empty(NOISE_STEP).normal_(generator=generator)[: samples - even]
    return rows.to(like)


def shaped_noise(seeds: Sequence[int], samples: int, gain: Tensor, like: Tensor) -> Tensor:
    """Noise with a given spectrum, of an expected RMS of 1, from a seed for each row.

    Shape: gain (seeds or 1, bins), factors at evenly spaced frequencies from 0 Hz to half the rate
    -> (seeds, samples), dtype and device of ``like``.

    >>> white = torch.ones(1, 257)
    >>> float(shaped_noise([1], 100_000, white, white).square().mean().sqrt().round(decimals=2))
    1.0
    """
    kernel, origin = zero_phase_kernel(gain / gain.amax(-1, keepdim=True).clamp(min=1e-30))
    kernel = kernel / kernel.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-30)
    taps = kernel.shape[-1]
    # noise that was there before the first sample and goes on after the last: no edge is heard
    noise = white_noise(seeds, samples + taps - 1, like)
    return convolve(noise, kernel.to(like), origin)[:, taps - 1 - origin :][:, :samples]


def coloured(slope: float, sample_rate: int) -> Tensor:
    """The gain of noise whose power falls by a slope, (1, bins): 0 is white, -1 pink, -2 brown.

    >>> coloured(-2, 22050)[0, [372, 744]].log2().diff().round(decimals=3).tolist()
    [-1.0]
    """
    frequency = torch.linspace(0, sample_rate / 2, SHAPING_BINS, dtype=torch.float64)
    return (frequency.clamp(min=LOWEST_HZ) / LOWEST_HZ)[None] ** (slope / 2)


def level_beneath(wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
    """What an added sound's level is for each wave: ``level_db`` over its speech, or ``floor_db``.

    Shape: wave (batch, samples) -> (batch, 1), with gradient.

    >>> asked = [{"level_db": -20, "floor_db": -40}] * 2
    >>> level_beneath(torch.tensor([[1.0], [0.0]]), asked, 8000)[:, 0]
    tensor([0.1000, 0.0010])
    """
    speech = level_of(wave, "speech", sample_rate, -math.inf)
    floor = factors(values, "floor_db", wave)
    return speech.maximum(floor) * factors(values, "level_db", wave)


def add_beneath(
    wave: Tensor,
    values: Sequence[Mapping[str, Any]],
    sample_rate: int,
    fill: Callable[[Tensor, Mapping[str, Any], int], None],
) -> Tensor:
    """Each wave with a sound of its own beneath it, at the level of `level_beneath`.

    ``fill`` puts the sound that goes with a set of values, at a rate (Hz), into a row of zeros on
    the processor.

    Shape: wave (batch, samples) -> (batch, samples).
    """
    level = level_beneath(wave, values, sample_rate)
    added = torch.zeros(wave.shape, dtype=wave.dtype)
    for row, own in zip(added, values, strict=True):
        fill(row, own, sample_rate)
    return wave + added.to(wave.device).mul_(level)


def streams(seed: int, count: int) -> list[Generator]:
    """So many sources of chance from one seed, none of which follows another.

    They are not the one that `moments_of_chance` makes of the same seed either.
    """
    root = seeded(seed + SEEDS)
    return [seeded(draw_seed(root)) for _ in range(count)]


def moments_of_chance(seed: int, per_second: float, seconds: float) -> Tensor:
    """Moments in seconds, rising, at which something happens by chance so many times a second.

    A Poisson process: the gaps are exponential. What happens in the first seconds does not depend
    on how long it goes on.

    Shape: -> (moments,), float64.
    """
    if per_second <= 0 or seconds <= 0:
        return torch.zeros(0, dtype=torch.float64)
    generator = seeded(seed)
    found = []
    last = 0.0
    while last < seconds:
        chance = torch.rand(MOMENTS_AT_ONCE, generator=generator, dtype=torch.float64)
        found.append(last - torch.log1p(-chance).cumsum(0) / per_second)
        last = float(found[-1][-1])
    every = torch.cat(found)
    return every[every < seconds]


def scatter_db(chance: Tensor, spread_db: float) -> Tensor:
    """Factors of a log-normal spread (standard deviation in dB, median 1) from numbers 0 to 1.

    >>> scatter_db(torch.tensor([0.5, 0.8413447], dtype=torch.float64), 20).round(decimals=3)
    tensor([ 1., 10.], dtype=torch.float64)
    """
    deviation: Tensor = torch.special.ndtri(chance.clamp(1e-15, 1 - 1e-15))
    factors: Tensor = 10 ** (spread_db / 20 * deviation)
    return factors


def add_rings(
    sound: Tensor,
    moments: Tensor,
    hz: Tensor,
    decay_seconds: Tensor,
    peaks: Tensor,
    sample_rate: int,
) -> None:
    """Let something struck ring in a sound: damped sinusoids, each from its moment on.

    ``decay_seconds`` is the time in which one falls by 60 dB. None rings above 0.45 of the rate.
    What goes on after the end of the sound is lost. Works in place, on the processor.

    Shape: sound (samples,), the others (events,), float64; peaks may be negative.

    >>> sound = torch.zeros(8)
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> add_rings(sound, 2e-3 * one, 250 * one, 1e-3 * one, -0.5 * one, 1000)
    >>> sound[:4].tolist(), sound[4:].abs().max().item() < 1e-6
    ([0.0, 0.0, 0.0, -0.5], True)
    """
    if not len(moments):
        return
    taps = math.ceil(float(decay_seconds.max()) * GONE_DB / 60 * sample_rate) + 2
    around = torch.arange(taps)
    at_once = max(BLOCK_SAMPLES // taps, 1)
    for start in range(0, len(moments), at_once):
        part = slice(start, start + at_once)
        moment = moments[part, None] * sample_rate
        first = moment.ceil()
        time = (first - moment + around) / sample_rate
        ring = torch.exp(time * (-math.log(1000) / decay_seconds[part, None]))
        ring *= torch.sin(time * (2 * math.pi * hz[part, None].clamp(max=HIGHEST * sample_rate)))
        # the largest sample is the peak, wherever between samples the ring begins
        ring *= peaks[part, None] / ring.abs().amax(-1, keepdim=True).clamp(min=1e-30)
        places = first.long() + around
        if int(places.max()) >= len(sound):
            ring *= places < len(sound)
            places.clamp_(max=len(sound) - 1)
        sound.scatter_add_(0, places.flatten(), ring.flatten().to(sound))

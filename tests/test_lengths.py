"""Sounds of any length, rate and number of channels keep every sample, in files and between rates.

60 of them are tried; the variable SELFREMASTER_EXAMPLES asks for another number, such as 500.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from selfremaster.core import audio

EXAMPLES = int(os.environ.get("SELFREMASTER_EXAMPLES", "60"))
MOST_SAMPLES, MOST_CHANNELS = 10**6, 8
LOWEST_HZ, HIGHEST_HZ = 8000, 192000
HIGHEST_OF_FLAC_HZ = 65535  # of any rate; above it holds some
SUFFIXES = (".flac", ".wav", ".w64", ".caf", ".aiff", ".au")
CORNERS = (
    (1, LOWEST_HZ, 1),
    (1, HIGHEST_HZ, MOST_CHANNELS),
    (MOST_SAMPLES, LOWEST_HZ, 1),
    (2, 44100, 2),
    (65536, 48000, MOST_CHANNELS),
    (65537, 48000, 3),
)


class Size(NamedTuple):
    """How long a sound is, in samples, its rate, Hz, its channels, and another rate."""

    samples: int
    rate_hz: int
    channels: int
    other_hz: int


def sizes(examples: int = EXAMPLES) -> list[Size]:
    """So many, as often short as long, and the corners."""
    chance = np.random.default_rng(0)
    found = []
    for number in range(examples):
        samples = round(math.exp(chance.uniform(0, math.log(MOST_SAMPLES))))
        rate_hz, other_hz = (int(rate) for rate in chance.integers(LOWEST_HZ, HIGHEST_HZ + 1, 2))
        channels = int(chance.integers(1, MOST_CHANNELS + 1))
        if number < len(CORNERS):
            samples, rate_hz, channels = CORNERS[number]
        found.append(Size(samples, rate_hz, channels, other_hz))
    return found


@pytest.mark.parametrize("size", sizes(), ids=lambda size: "-".join(map(str, size)))
def test_every_sample_is_kept(size: Size, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(size.samples)
    steps = torch.randint(-(2**15), 2**15, (size.channels, size.samples), generator=generator)
    wave = steps.float() / 2**15
    suffixes = SUFFIXES[1:] if size.rate_hz > HIGHEST_OF_FLAC_HZ else SUFFIXES
    suffix = suffixes[size.samples % len(suffixes)]
    path = tmp_path / f"a{suffix}"
    audio.write(path, wave, size.rate_hz, subtype="PCM_16")
    info = audio.inspect(path)
    assert (info.samples, info.sample_rate, info.channels) == (
        size.samples,
        size.rate_hz,
        size.channels,
    )
    assert audio.inspect(path, strict=False, repair=True) == info
    back, rate = audio.read(path)
    assert rate == size.rate_hz
    assert torch.equal(back, wave)
    assert sum(block.shape[-1] for block in audio.blocks(path)) == size.samples


@pytest.mark.parametrize("size", sizes(), ids=lambda size: "-".join(map(str, size)))
def test_another_rate_and_back_is_as_long_as_before(size: Size) -> None:
    high = max(size.rate_hz, size.other_hz)
    rate_hz = min(size.rate_hz, size.other_hz)
    samples = min(size.samples, 200_000 if size.channels > 2 else MOST_SAMPLES)
    wave = torch.sin(torch.arange(samples) * 0.1).expand(size.channels, -1)
    there = audio.resample(wave, rate_hz, high)
    assert there.shape == (size.channels, audio.resampled_length(samples, rate_hz, high))
    assert abs(there.shape[-1] - samples * high / rate_hz) <= 0.5
    back = audio.resample(there, high, rate_hz)
    assert back.shape == wave.shape
    inside = slice(500, -500) if samples > 2000 else slice(0, 0)
    error = (back - wave)[:, inside].abs()
    assert not error.numel() or error.max() < 1e-3

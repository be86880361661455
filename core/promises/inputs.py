"""The inputs on which promises are tried: what breaks parts, and something like speech."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from selfremaster.core.promises.judging import seeded

RATE_HZ = 22050
DELAY_TOLERANCE_SECONDS = 0.002  # the group delay of ordinary filters


def noise(batch: int, samples: int, seed: int = 1, level: float = 0.2) -> Tensor:
    """White noise of an RMS level, (batch, samples)."""
    return level * torch.randn(batch, samples, generator=seeded(seed))


def speech_like(samples: int, seed: int = 2, sample_rate: int = RATE_HZ) -> Tensor:
    """A voice without words, at a peak of 0.6: gliding pitch, formants, breath, and pauses.

    Shape: -> (1, samples).
    """
    time = torch.arange(samples, dtype=torch.float64) / sample_rate
    pitch_hz = (
        120 + 25 * torch.sin(2 * math.pi * 0.9 * time) + 6 * torch.sin(2 * math.pi * 5 * time)
    )
    phase = 2 * math.pi * torch.cumsum(pitch_hz, 0) / sample_rate
    voice = torch.zeros_like(time)
    for harmonic in range(1, 40):
        frequency = harmonic * pitch_hz
        formants = sum(
            gain
            / (1 + ((frequency - centre - 150 * torch.sin(2 * math.pi * 2.3 * time)) / width) ** 2)
            for centre, width, gain in ((550, 90, 1.0), (1500, 130, 0.5), (2600, 180, 0.25))
        )
        voice += torch.where(frequency < 0.45 * sample_rate, formants, 0) * torch.sin(
            harmonic * phase
        )
    syllable = torch.sin(2 * math.pi * 2 * time + 0.4)
    breath = torch.randn(samples, generator=seeded(seed), dtype=torch.float64)
    wave = voice * syllable.clamp(min=0) + 0.1 * breath * (-syllable - 0.6).clamp(min=0)
    wave = wave + 1e-4 * breath.flip(0)
    return (0.6 * wave / wave.abs().max().clamp(min=1e-9)).float()[None]


def waves(longest: int = 3000) -> Iterator[tuple[str, Tensor]]:
    """Waves (batch, samples) by name, none longer than so many samples."""
    time = torch.arange(longest)[None]
    yield "silence", torch.zeros(1, longest)
    yield "one sample", torch.tensor([[0.5]])
    yield "one silent sample", torch.zeros(1, 1)
    yield "a constant", torch.full((1, longest // 2), 0.5)
    yield "full scale", torch.where(time % 50 < 25, 1.0, -1.0)
    yield "a faint noise", noise(1, longest, seed=3, level=1e-6)
    yield "noise", noise(1, longest - 1)
    yield "something like speech", speech_like(longest)
    yield "a batch", torch.cat([noise(1, longest), torch.zeros(1, longest), speech_like(longest)])


def wave_cases(longest: int = 3000) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same waves under the name ``wave``, each with a ``seed``."""
    for number, (label, wave) in enumerate(waves(longest)):
        yield label, {"wave": wave, "seed": number}


def log_mels(bands: int, silence: float, batch: int, frames: int, seed: int = 4) -> Tensor:
    """Something like a log-mel spectrogram, smooth over time, (batch, bands, frames)."""
    rough = torch.randn(batch, bands, frames + 4, generator=seeded(seed))
    smooth = functional.avg_pool1d(rough, 5, stride=1) * math.sqrt(5)
    return (silence / 2 + 2 * smooth).clamp(min=silence, max=2.0)

"""Channel similarity, whether two recordings sound as if made in the same way, whoever speaks."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.core.signals import hann_window
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair

RATE_HZ = 16000
SHORTEST_SECONDS = 1.0
SIZE_SAMPLES, HOP_SAMPLES = 512, 160
MIDDLES_HZ = tuple(1000 * 2 ** (third / 3) for third in range(-10, 9))  # 99 to 6350 Hz
LEAST_DB = -60.0  # below the loud frames: what is softer is silence
LOUD_DB = 30.0  # below the loudest frames: what is softer is a pause
LOUDEST = 0.95  # of the frames are softer than the loudest ones
SOFT, MIDDLE, LOUD = 0.10, 0.50, 0.95  # quantiles of the level in a band
HIGHEST, HIGH = 0.9999, 0.99  # quantiles of the magnitude of samples
# by how much voices differ in one channel, dB: about the standard deviation over ten speakers of
# LibriSpeech, each damaged in the same six ways
VOICES_DB = (6.5, 5.2, 4.7)
VOICES_AMPLITUDES_DB = (2.2, 1.2, 1.1)


class Traces(NamedTuple):
    """What a recording tells of how it was made, dB relative to its loud frames."""

    levels: Tensor  # (3, bands), where it is soft, in the middle, and loud
    amplitudes: Tensor  # (3,), how far the highest samples lie above the mean


class ChannelSimilarity(Metric):
    """Hear whether a recording sounds made in the same way: 1 is the same, 0.5 another voice in it.

    The two may say different things, by different voices. Compared are the levels in 19 bands of a
    third of an octave (100 to 6350 Hz) that are kept below for a tenth, a half and 95 % of the
    time (noise and echo, speech, its loudest), and how far the highest samples lie above the mean
    (clipping): the 99.99 % and 99 % quantiles of the loud frames' magnitudes, and the mean peak of
    a frame. Each difference is divided by what another voice makes of it; with d the root mean
    square over the four groups, the number is 1 / (1 + d).

    Rate: both waves are brought to 16000 Hz, so nothing above 8000 Hz counts. Gain: taken out;
    levels are relative to the loud frames. Lag: has nearly no influence. Less than a second, and
    silence, give no number. Limits: voice and channel cannot be told apart altogether in one
    recording. Use it to compare results on the same pairs, and means over several sentences. Wow,
    clicks and what lies above 6350 Hz are not heard; pauses of digital silence and pauses with
    noise are two channels.

    Shape: waves (samples,) -> {"channel-similarity": from 0 to 1, higher is better}.
    Source: none; measured in ``tests/test_network_metrics.py``.
    Raises `ComponentError` without a reference.

    Half as loud is the same channel; clipped is another:

    >>> from selfremaster.core.components import ComponentConfig
    >>> from selfremaster.core.promises.inputs import speech_like
    >>> metric, wave = ChannelSimilarity(ComponentConfig()), speech_like(32000)[0]
    >>> round(metric.compute(wave / 2, 16000, wave)["channel-similarity"], 3)
    1.0
    >>> metric.compute(wave.clamp(-0.1, 0.1), 16000, wave)["channel-similarity"] < 0.5
    True
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "channel-similarity": "higher"
    }
    ideal: ClassVar[Mapping[str, float]] = {"channel-similarity": 1.0}
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="removed")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The similarity."""
        heard, wanted = (resample(wave, sample_rate, RATE_HZ) for wave in pair(estimate, reference))
        if len(heard) < SHORTEST_SECONDS * RATE_HZ or not (heard.any() and wanted.any()):
            return {"channel-similarity": NOT_A_NUMBER}
        return {"channel-similarity": 1 / (1 + distance(traces(heard), traces(wanted)))}


def distance(first: Traces, second: Traces) -> float:
    """How far the traces of two recordings are apart; 1 is as far as another voice would be."""
    levels = (first.levels - second.levels) / torch.tensor(VOICES_DB)[:, None]
    amplitudes = (first.amplitudes - second.amplitudes) / torch.tensor(VOICES_AMPLITUDES_DB)
    groups = torch.cat([levels.square().mean(dim=-1), amplitudes.square().mean()[None]])
    return float(groups.mean().sqrt())


def traces(wave: Tensor) -> Traces:
    """What a recording at 16000 Hz tells of how it was made.

    Shape: (samples,), a frame of 512 or more, not silent.
    """
    frames = wave.double().unfold(0, SIZE_SAMPLES, HOP_SAMPLES)
    energies = frames.square().mean(dim=-1)
    loud = energies >= energies.quantile(LOUDEST) * 10 ** (-LOUD_DB / 10)
    mean = energies[loud].mean()
    spectra = torch.fft.rfft(frames / mean.sqrt() * hann_window(SIZE_SAMPLES, dtype=torch.float64))
    powers = spectra.abs().square() @ _bands().T
    levels = _decibels(powers / powers[loud].sum(dim=-1).mean()).clamp(min=LEAST_DB)
    quantiles = torch.tensor([SOFT, MIDDLE, LOUD], dtype=torch.float64)
    samples = frames[loud].abs()
    ordered = samples.flatten().sort().values
    highest = [ordered[int(part * len(ordered))].square() / mean for part in (HIGHEST, HIGH)]
    peaks = _decibels(samples.amax(dim=-1).square() / energies[loud]).mean()
    amplitudes = torch.stack([*(_decibels(high) for high in highest), peaks])
    return Traces(levels.quantile(quantiles, dim=0), amplitudes)


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=1e-12).log10()


@lru_cache(maxsize=1)
def _bands() -> Tensor:
    """How much of each bin lies in each band, (bands, bins), the mean power of a band's bins."""
    width = RATE_HZ / SIZE_SAMPLES
    bins = torch.arange(SIZE_SAMPLES // 2 + 1, dtype=torch.float64) * width
    middles = torch.tensor(MIDDLES_HZ, dtype=torch.float64)[:, None]
    low, high = middles * 2 ** (-1 / 6), middles * 2 ** (1 / 6)
    inside = torch.minimum(bins + width / 2, high) - torch.maximum(bins - width / 2, low)
    inside = inside.clamp(min=0)
    return inside / inside.sum(dim=-1, keepdim=True)

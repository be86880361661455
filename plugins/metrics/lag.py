"""Lag, by how much a wave comes too late or too early."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.metrics.magnitudes import magnitudes
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair

RATE_HZ = 16000
SIZE_SAMPLES, HOP_SAMPLES = 128, 16  # windows of 8 ms, every millisecond
BANDS = 16
SHORTEST_SECONDS = 0.1
LEAST_ALIKE = 0.2  # correlation below which two waves have nothing in common
EMPTY = 1e-9  # power of a band in which nothing rises above the floor
FLOOR = 1e-3  # of the loudest magnitude: what lies below is the noise of codecs and resampling
OVERLAP = 4  # of so many parts of the wave all but one lie over each other at every lag


class LagConfig(ComponentConfig):
    """Settings of `Lag`."""

    longest_ms: Annotated[
        float, Field(ge=1, le=10000, description="longest lag looked for, ms, early or late")
    ] = 500.0


class Lag(Metric):
    """Hear by how many milliseconds the wave comes too late, or too early, against the reference.

    The envelopes of 16 bands of 500 Hz (the root of magnitudes, every millisecond), each without
    its mean and of one power, are correlated; the lag is where the mean correlation over the whole
    wave is highest, between milliseconds by a parabola, exact to about 0.1 ms. Phases have no
    influence, so that vocoders can be measured. Bands that are empty in either wave (60 dB below
    its loudest) do not count. Sought up to 500 ms and a quarter of the wave: of words that were
    removed, those that are left are easily like others further away. Rate: both waves are brought
    to 16000 Hz. Gain: taken out. Lag: is what is measured, as one number for the whole wave.
    Silence, less than 0.1 seconds, and waves that have nothing in common (correlation below 0.2)
    give no number.

    Shape: waves (samples,) -> {"lag-ms": milliseconds, lower is better}.
    Source: cross-correlation of envelopes; measured in ``tests/test_signal_metrics.py``.
    Raises `ComponentError` without a reference.

    Noise that comes 160 samples, or 10 ms, late:

    >>> noise = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    >>> late = torch.cat([torch.zeros(160), noise])
    >>> round(Lag(LagConfig()).compute(late, 16000, noise)["lag-ms"], 1)
    10.0
    """

    Config = LagConfig
    config: LagConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"lag-ms": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"lag-ms": 0.0}
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="counts")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The lag."""
        waves = pair(estimate, reference)
        if len(waves[1]) < SHORTEST_SECONDS * sample_rate:
            return {"lag-ms": NOT_A_NUMBER}
        heard, clean = (_envelopes(resample(wave, sample_rate, RATE_HZ)) for wave in waves)
        both = heard.any(axis=1) & clean.any(axis=1)
        if not both.any():
            return {"lag-ms": NOT_A_NUMBER}
        frames = clean.shape[1]
        furthest = min(round(self.config.longest_ms), frames // OVERLAP)
        alike = _correlation(heard[both], clean[both], furthest)
        # where little lies over each other, chance makes much of it
        overlap = 1 - np.abs(np.arange(-furthest, furthest + 1)) / frames
        best = int((alike * overlap).argmax())
        if not alike[best] >= LEAST_ALIKE:
            return {"lag-ms": NOT_A_NUMBER}
        return {
            "lag-ms": abs(best - furthest + _between(alike, best)) * 1000 * HOP_SAMPLES / RATE_HZ
        }


def _envelopes(wave: Tensor) -> NDArray[np.float64]:
    """How each band swells and fades, of mean 0 and power 1, (bands, frames); 0 where empty."""
    peak = float(wave.abs().max())
    level = wave.double() / peak if peak > 0 else wave.double()
    blocks = [
        block[:, 1:].unfold(1, SIZE_SAMPLES // 2 // BANDS, SIZE_SAMPLES // 2 // BANDS).mean(-1)
        for block in magnitudes(level, SIZE_SAMPLES, HOP_SAMPLES)
    ]
    found = torch.cat(blocks)
    bands = found.clamp(min=FLOOR * float(found.max())).sqrt().T
    bands = bands - bands.mean(dim=1, keepdim=True)
    power = bands.square().mean(dim=1, keepdim=True).sqrt()
    return torch.where(power > EMPTY, bands / power.clamp(min=EMPTY), 0).numpy()


def _correlation(
    late: NDArray[np.float64], early: NDArray[np.float64], furthest: int
) -> NDArray[np.float64]:
    """The mean correlation of bands at shifts from -furthest to furthest, (2 * furthest + 1,)."""
    frames = early.shape[1]
    size = scipy.fft.next_fast_len(frames + furthest, real=True)
    crossed = sum(
        scipy.fft.rfft(one, size) * scipy.fft.rfft(other, size).conj()
        for one, other in zip(late, early, strict=True)
    )
    shifts = np.arange(-furthest, furthest + 1)
    sums = scipy.fft.irfft(crossed, size)[shifts]
    alike: NDArray[np.float64] = sums / (frames - np.abs(shifts)) / len(early)
    return alike


def _between(values: NDArray[np.float64], best: int) -> float:
    """Where between its neighbours the highest value lies, from -0.5 to 0.5, by a parabola."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float((before - after) / (2 * bend)) if bend < 0 else 0.0

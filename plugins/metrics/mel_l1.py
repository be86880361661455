"""Mel distance, how far two mel spectrograms are apart."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import FeaturesSpec, default_part
from selfremaster.core.interfaces import Features
from selfremaster.core.levels import peak_gain, resample
from selfremaster.plugins.metrics.magnitudes import (
    SpectralDistance,
    SpectralDistanceConfig,
    limit_hz,
)

PEAK_DB = -3.0
FILLED_DB = 3.0  # by how much less a click fills a band that reaches beyond its end
NEPERS_PER_DB = math.log(10) / 20


class MelDistanceConfig(SpectralDistanceConfig):
    """Settings of `MelDistance`."""

    features: Annotated[
        FeaturesSpec, Field(description="whose mel spectrogram is taken, at its own rate")
    ] = default_part("mel")


class MelDistance(SpectralDistance):
    """Hear how far the loudness of the bands of hearing is from the clean one, frame by frame.

    Mean over bands and frames of |difference| of the natural logarithms of the mel spectrograms,
    both not below a floor that follows the reference (80 dB below its loudest band); 1 is 8.7 dB.
    Rate: both waves are brought to the rate of the features (22050 Hz by default). Gain: taken out
    first, unless ``match_level`` is off; then both get the gain that brings the reference to a peak
    of -3 dBFS. Lag: counts. A silent reference gives no number.

    Shape: waves (samples,) -> {"mel-l1": nepers, lower is better}.
    Source: the mel distance that HiFi-GAN (Kong et al., 2020) is validated by.
    Raises `ComponentError` without a reference.

    e times the wave is 1 away in every band:

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> features = MelSpectrogram(MelConfig())
    >>> distance = MelDistance(MelDistanceConfig(match_level=False), features)
    >>> wave = torch.randn(8000, generator=torch.Generator().manual_seed(0)) / 20
    >>> round(distance.compute(math.e * wave, 22050, wave)["mel-l1"], 3)
    1.0
    """

    Config = MelDistanceConfig
    config: MelDistanceConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"mel-l1": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"mel-l1": 0.0}

    def __init__(self, config: MelDistanceConfig, features: Features) -> None:
        super().__init__(config, features.sample_rate)
        self.features = features

    def distance(self, heard: Tensor, clean: Tensor, sample_rate: int) -> float:
        """The mean over bands and frames, nepers."""
        gain = peak_gain(float(clean.abs().max()), PEAK_DB)
        rate = self.features.sample_rate
        one, other = (
            self._log_mel(resample(gain * wave, sample_rate, rate)) for wave in (heard, clean)
        )
        floor = float(other.max()) + self.config.floor_db * NEPERS_PER_DB
        distances = (one.clamp(min=floor) - other.clamp(min=floor)).abs().mean(dim=-1)
        highest_hz = limit_hz(self.config.bandwidth, clean, sample_rate)
        if highest_hz is not None:
            distances = distances[self._bands_up_to(highest_hz)]
        return float(distances.mean())

    def _log_mel(self, wave: Tensor) -> Tensor:
        """(samples,) -> (bands, frames)."""
        with torch.no_grad():
            return self.features.log_mel(wave[None])[0]

    def _bands_up_to(self, highest_hz: float) -> Tensor:
        """Which bands lie below a frequency, (bands,): those that a limited click fills as well.

        Features do not say where their bands lie; they are asked with a click.
        """
        rate = self.features.sample_rate
        spectrum = torch.ones(rate // 2 + 1, dtype=torch.complex64)
        limited = spectrum.clone()
        limited[math.ceil(highest_hz) :] = 0
        clicks = (
            torch.fft.irfft(part, n=2 * (rate // 2)).roll(rate // 2) for part in (spectrum, limited)
        )
        all_bands, some = (self._log_mel(click).amax(dim=-1) for click in clicks)
        inside = all_bands - some < FILLED_DB * NEPERS_PER_DB
        inside[0] = True
        return inside

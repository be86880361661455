"""LSD, how far two spectra are apart in dB."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.plugins.metrics.magnitudes import (
    SpectralDistance,
    SpectralDistanceConfig,
    bins_up_to,
    limit_hz,
)


class LogSpectralDistanceConfig(SpectralDistanceConfig):
    """Settings of `LogSpectralDistance`."""

    size: Annotated[int, Field(ge=16, le=65536, description="FFT and window, samples")] = 2048
    hop_samples: Annotated[int, Field(ge=1, description="distance of frames, samples")] = 512
    max_hz: Annotated[
        float | None, Field(gt=0, description="leave out what lies above, Hz; none: half the rate")
    ] = None

    @model_validator(mode="after")
    def _check_hop(self) -> Self:
        if self.hop_samples > self.size:
            raise ValueError(
                f"hop_samples={self.hop_samples} is longer than the window of {self.size}"
            )
        return self


class LogSpectralDistance(SpectralDistance):
    """Hear how far the spectrum is from the clean one, in dB, in every bin and every frame.

    Mean over frames of the root of the mean over bins of (20 log10 |estimate| / |reference|)²,
    with both magnitudes not below a floor that follows the reference (80 dB below its loudest bin).
    Rate: measured at the rate of the waves, up to half of it, so compare numbers of one rate, or
    set ``max_hz``, or ``bandwidth=reference``. Gain: taken out first, unless ``match_level`` is
    off. Lag: counts. A silent reference gives no number.

    Shape: waves (samples,) -> {"lsd": dB, lower is better}.
    Source: Gray and Markel, "Distance measures for speech processing" (IEEE TASSP, 1976); Hann
    window of 2048 and hop of 512 samples as in work on bandwidth extension.
    Raises `ComponentError` without a reference, or when ``max_hz`` leaves no bin.

    Twice the wave is 6.02 dB away in every bin:

    >>> import torch
    >>> lsd = LogSpectralDistance(LogSpectralDistanceConfig(match_level=False))
    >>> wave = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    >>> round(lsd.compute(2 * wave, 16000, wave)["lsd"], 2)
    6.02
    """

    Config = LogSpectralDistanceConfig
    config: LogSpectralDistanceConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"lsd": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"lsd": 0.0}

    def distance(self, heard: Tensor, clean: Tensor, sample_rate: int) -> float:
        """LSD, dB."""
        bins = self._bins(clean, sample_rate)
        total, frames = 0.0, 0
        for both in self.floored(heard, clean, bins, self.config.size, self.config.hop_samples):
            one, other = (20 * part.log10() for part in both)
            total += float((one - other).square().mean(dim=1).sqrt().sum())
            frames += len(one)
        return total / frames

    def _bins(self, clean: Tensor, sample_rate: int) -> int:
        size, max_hz = self.config.size, self.config.max_hz
        bins = bins_up_to(max_hz, size, sample_rate)
        if bins < 2:
            raise ComponentError(
                f"max_hz={max_hz} leaves no bin but the one at 0 Hz; give at least "
                f"{sample_rate / size:.4g}"
            )
        highest_hz = limit_hz(self.config.bandwidth, clean, sample_rate)
        return max(2, min(bins, bins_up_to(highest_hz, size, sample_rate)))

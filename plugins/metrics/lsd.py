"""LSD, how far two spectra are apart in dB."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.signals import stft
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, match_level, pair


class LogSpectralDistanceConfig(ComponentConfig):
    """Settings of `LogSpectralDistance`."""

    size: Annotated[int, Field(ge=16, le=65536, description="FFT and window, samples")] = 2048
    hop_samples: Annotated[int, Field(ge=1, description="distance of frames, samples")] = 512
    max_hz: Annotated[
        float | None, Field(gt=0, description="leave out what lies above, Hz; none: half the rate")
    ] = None
    floor_db: Annotated[
        float,
        Field(
            ge=-200, lt=0, description="smallest magnitude, dB below the reference's loudest bin"
        ),
    ] = -80.0
    match_level: Annotated[
        bool, Field(description="give the estimate the RMS level of the reference first")
    ] = True

    @model_validator(mode="after")
    def _check_hop(self) -> Self:
        if self.hop_samples > self.size:
            raise ValueError(
                f"hop_samples={self.hop_samples} is longer than the window of {self.size}"
            )
        return self


class LogSpectralDistance(Metric):
    """Hear how far the spectrum is from the clean one, in dB, in every bin and every frame.

    Mean over frames of the root of the mean over bins of (20 log10 |estimate| / |reference|)²,
    with both magnitudes not below a floor that follows the reference. Rate: measured at the rate of
    the waves, up to half of it, so compare numbers of one rate, or set ``max_hz``. Gain: taken out
    first, unless ``match_level`` is off. Lag: not taken out. A silent reference gives no number.

    Shape: waves (samples,) -> {"lsd": dB, lower is better}.
    Source: Gray and Markel, "Distance measures for speech processing" (IEEE TASSP, 1976); Hann
    window of 2048 and hop of 512 samples as in work on bandwidth extension.
    Raises `ComponentError` without a reference, or when ``max_hz`` leaves no bin.

    Twice the wave is 6.02 dB away in every bin:

    >>> lsd = LogSpectralDistance(LogSpectralDistanceConfig(match_level=False))
    >>> wave = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    >>> round(lsd.compute(2 * wave, 16000, wave)["lsd"], 2)
    6.02
    """

    Config = LogSpectralDistanceConfig
    config: LogSpectralDistanceConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"lsd": "lower"}

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The distance from the reference."""
        heard, clean = pair(estimate, reference)
        if not clean.any():
            return {"lsd": NOT_A_NUMBER}
        if self.config.match_level:
            heard = match_level(heard, clean)
        waves = torch.stack([heard, clean])
        magnitudes = stft(waves, self.config.size, self.config.hop_samples).abs()
        floor = magnitudes[1].max() * 10 ** (self.config.floor_db / 20)
        levels = 20 * magnitudes[:, : self._bins(sample_rate)].clamp(min=floor).log10()
        distance = (levels[0] - levels[1]).square().mean(dim=0).sqrt().mean()
        return {"lsd": float(distance)}

    def _bins(self, sample_rate: int) -> int:
        every = self.config.size // 2 + 1
        if self.config.max_hz is None:
            return every
        bins = min(every, int(self.config.max_hz * self.config.size / sample_rate) + 1)
        if bins < 2:
            raise ComponentError(
                f"max_hz={self.config.max_hz} leaves no bin but the one at 0 Hz; give at least "
                f"{sample_rate / self.config.size:.4g}"
            )
        return bins

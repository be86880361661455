"""Multi-resolution STFT distance, how far spectra of three sharpnesses are apart."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from selfremaster.core.signals import hann_window
from selfremaster.plugins.metrics.magnitudes import (
    SpectralDistance,
    SpectralDistanceConfig,
    bins_up_to,
    limit_hz,
)

# FFT, hop and window in samples; of the paper, table 1
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))


class MultiResolutionStftConfig(SpectralDistanceConfig):
    """Settings of `MultiResolutionStft`."""


class MultiResolutionStft(SpectralDistance):
    """Hear how far the spectrum is from the clean one, in loud bins and in all, at three scales.

    For FFTs of 512, 1024 and 2048 samples the spectral convergence (the Frobenius norm of the
    difference of the magnitudes, divided by that of the reference's) and the mean absolute
    difference of the natural logarithms of the magnitudes are added, then averaged; both magnitudes
    not below a floor that follows the reference (80 dB below its loudest bin). Rate: measured at
    the rate of the waves, with windows in samples, so compare numbers of one rate. Gain: taken out
    first, unless ``match_level`` is off. Lag: counts. A silent reference gives no number. Vocoders
    are trained by this distance: it favours those that were.

    Shape: waves (samples,) -> {"mr-stft": lower is better}.
    Source: Yamamoto et al., "Parallel WaveGAN" (ICASSP 2020), equations 4 to 6 and table 1.
    Raises `ComponentError` without a reference.

    e times the wave is e - 1 of the reference, and 1 in logarithms, away:

    >>> distance = MultiResolutionStft(MultiResolutionStftConfig(match_level=False, floor_db=-200))
    >>> wave = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    >>> e = 2.718281828
    >>> round(distance.compute(e * wave, 16000, wave)["mr-stft"] - (e - 1), 4)
    1.0
    """

    Config = MultiResolutionStftConfig
    config: MultiResolutionStftConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"mr-stft": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"mr-stft": 0.0}

    def distance(self, heard: Tensor, clean: Tensor, sample_rate: int) -> float:
        """The mean over the three scales."""
        highest_hz = limit_hz(self.config.bandwidth, clean, sample_rate)
        distances = [
            self._at_scale(heard, clean, sizes, bins_up_to(highest_hz, sizes[0], sample_rate))
            for sizes in RESOLUTIONS
        ]
        return sum(distances) / len(distances)

    def _at_scale(
        self, heard: Tensor, clean: Tensor, sizes: tuple[int, int, int], bins: int
    ) -> float:
        size, hop_samples, window_samples = sizes
        missing = size - window_samples
        window = functional.pad(
            hann_window(window_samples, dtype=torch.float64), (missing // 2, missing - missing // 2)
        )
        apart = whole = logarithms = count = 0.0
        for one, other in self.floored(heard, clean, bins, size, hop_samples, window):
            apart += float((one - other).square().sum())
            whole += float(other.square().sum())
            logarithms += float((one.log() - other.log()).abs().sum())
            count += other.numel()
        return float((apart / whole) ** 0.5 + logarithms / count)

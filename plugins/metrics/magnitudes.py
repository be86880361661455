"""What spectral distances share: what is compared, and magnitudes of long waves in blocks."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from selfremaster.core.bandwidths import bandwidth_hz
from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.signals import hann_window
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, match_level, pair

VALUES_AT_ONCE = 2**21  # in a block of frames


class SpectralDistanceConfig(ComponentConfig):
    """Settings that all spectral distances have."""

    bandwidth: Annotated[
        Literal["full", "reference"],
        Field(
            description="reference: compare only where the reference has sound, as 16 kHz speech "
            "stored at 22.05 kHz has below 8 kHz"
        ),
    ] = "full"
    floor_db: Annotated[
        float,
        Field(ge=-200, lt=0, description="smallest magnitude, dB below the reference's loudest"),
    ] = -80.0
    match_level: Annotated[
        bool, Field(description="give the estimate the RMS level of the reference first")
    ] = True


class SpectralDistance(Metric):
    """Hear how far a spectrum is from the clean one, in one number; a subclass says how.

    Raises `ComponentError` without a reference; a silent one gives no number.
    """

    config: SpectralDistanceConfig

    def __init__(self, config: SpectralDistanceConfig, rate_hz: int | None = None) -> None:
        super().__init__(config)
        self.policy = Policy(rate_hz=rate_hz, gain="removed" if config.match_level else "counts")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The distance from the reference."""
        (name,) = self.directions
        heard, clean = pair(estimate, reference)
        if not clean.any():
            return {name: NOT_A_NUMBER}
        if self.config.match_level:
            heard = match_level(heard, clean)
        return {name: self.distance(heard, clean, sample_rate)}

    def distance(self, heard: Tensor, clean: Tensor, sample_rate: int) -> float:
        """How far a wave is from a clean one that is not silent, (samples,) float64 both."""
        raise NotImplementedError

    def floored(
        self,
        heard: Tensor,
        clean: Tensor,
        bins: int,
        size: int,
        hop_samples: int,
        window: Tensor | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The lowest bins of both waves' `magnitudes`, not below the floor.

        Shape: waves (samples,) -> (frames, bins) both, in blocks.
        """
        spectrum = size, hop_samples, window
        floor = loudest(clean, *spectrum) * 10 ** (self.config.floor_db / 20)
        for both in zip(magnitudes(heard, *spectrum), magnitudes(clean, *spectrum), strict=True):
            one, other = (part[:, :bins].clamp(min=floor) for part in both)
            yield one, other


def limit_hz(
    choice: Literal["full", "reference"], reference: Tensor, sample_rate: int
) -> float | None:
    """The frequency (Hz) up to which is compared; none: half the rate.

    >>> limit_hz("full", torch.ones(8), 8000)
    """
    if choice == "full":
        return None
    found = bandwidth_hz(reference, sample_rate)
    return None if math.isnan(found) else found


def bins_up_to(highest_hz: float | None, size: int, sample_rate: int) -> int:
    """How many bins of an FFT lie not above a frequency (Hz).

    >>> bins_up_to(2000, 16, 8000), bins_up_to(None, 16, 8000)
    (5, 9)
    """
    every = size // 2 + 1
    return every if highest_hz is None else min(every, int(highest_hz * size / sample_rate) + 1)


def magnitudes(
    wave: Tensor, size: int, hop_samples: int, window: Tensor | None = None
) -> Iterator[Tensor]:
    """The magnitudes of `selfremaster.core.signals.stft`, in blocks that fit into memory.

    Shape: wave (samples,) -> (frames, size // 2 + 1) in blocks.

    >>> [block.shape for block in magnitudes(torch.ones(9), 8, 4)]
    [torch.Size([3, 5])]
    """
    window = hann_window(size, dtype=wave.dtype) if window is None else window
    half = size // 2
    mode = "reflect" if len(wave) > half else "constant"
    frames = functional.pad(wave[None], (half, half), mode=mode)[0].unfold(0, size, hop_samples)
    for block in torch.split(frames, max(1, VALUES_AT_ONCE // size)):
        yield torch.fft.rfft(block * window).abs()


def loudest(wave: Tensor, size: int, hop_samples: int, window: Tensor | None = None) -> float:
    """The largest of `magnitudes`."""
    return max(float(block.max()) for block in magnitudes(wave, size, hop_samples, window))

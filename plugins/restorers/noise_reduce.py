"""Spectral gating by the package noisereduce: the classical baseline."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Restorer
from selfremaster.core.packages import require
from selfremaster.plugins.restorers.peers import EXTRA, at_own_rate

WINDOW_SAMPLES, HOP_SAMPLES = 1024, 256  # the package's own
SMOOTHED_HZ, SMOOTHED_MS = 500.0, 50.0
INAUDIBLE = 1e-10  # -200 dB of full scale


class NoiseReduceConfig(ComponentConfig):
    """Settings of `NoiseReduce`; the defaults are the package's."""

    stationary: Annotated[
        bool,
        Field(description="take the noise for the same throughout, and learn it from the whole"),
    ] = False
    prop_decrease: Annotated[
        float, Field(ge=0, le=1, description="part of the noise that is taken out; 1: all")
    ] = 1.0


class NoiseReduce(Restorer):
    """Turn down what does not stand out from the background, band by band.

    The package works at the rate of the wave, without delay, each channel by itself; its window is
    1024 samples at any rate. Where it divides by digital silence and finds no number, it is given
    noise at -200 dB with the wave. Below 5120 Hz and above 256 kHz its gate is smoothed over one
    frame or band, the least that it allows.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: Sainburg and Zorea, "Noisereduce: domain general noise reduction for time series
    signals" (2024), by the package noisereduce.
    Raises `ComponentError` without the package; `AudioError` for an empty wave and for samples that
    are not finite.

    >>> NoiseReduceConfig()
    NoiseReduceConfig(stationary=False, prop_decrease=1.0)
    """

    Config = NoiseReduceConfig
    config: NoiseReduceConfig
    packages: ClassVar[tuple[str, ...]] = ("noisereduce",)
    delay_samples: ClassVar[int] = 0  # the gate has no phase

    def __init__(self, config: NoiseReduceConfig) -> None:
        super().__init__(config)
        self._reduce = require("noisereduce", EXTRA).reduce_noise

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The wave with its background turned down."""
        del reference
        return at_own_rate(
            wave, sample_rate, sample_rate, lambda channel: self._channel(channel, sample_rate)
        )

    def _channel(self, channel: np.ndarray, sample_rate: int) -> np.ndarray:
        if not channel.any():
            return channel.copy()
        reduced = self._gated(channel, sample_rate)
        if np.isfinite(reduced).all():
            return reduced
        chance = np.random.default_rng(0).standard_normal(len(channel))
        return self._gated(channel + INAUDIBLE * chance, sample_rate)

    def _gated(self, channel: np.ndarray, sample_rate: int) -> np.ndarray:
        # the package learns stationary noise from no less than a window
        missing = max(WINDOW_SAMPLES - len(channel), 0)
        with np.errstate(all="ignore"):
            found: np.ndarray = self._reduce(
                y=np.pad(channel, (0, missing)),
                sr=sample_rate,
                stationary=self.config.stationary,
                prop_decrease=self.config.prop_decrease,
                freq_mask_smooth_hz=max(SMOOTHED_HZ, 2.001 * sample_rate / WINDOW_SAMPLES),
                time_mask_smooth_ms=max(SMOOTHED_MS, 1000.5 * HOP_SAMPLES / sample_rate),
                n_fft=WINDOW_SAMPLES,
            )
        return found[: len(channel)]

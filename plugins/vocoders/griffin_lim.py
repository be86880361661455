"""Griffin-Lim: a vocoder that learns nothing and searches the phase."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.signals import istft, stft
from selfremaster.plugins.vocoders.mel_bands import band_interpolation, mel_of

GOLDEN = 0.6180339887498949


class GriffinLimConfig(ComponentConfig):
    """Settings of `GriffinLim`."""

    iterations: Annotated[
        int, Field(ge=0, le=10_000, description="rounds of the search for the phase")
    ] = 60
    momentum: Annotated[
        float,
        Field(ge=0, lt=1.5, description="how far each round overshoots; 0 is plain Griffin-Lim"),
    ] = 0.99
    mel_iterations: Annotated[
        int, Field(ge=0, le=1000, description="rounds of the search for the STFT magnitudes")
    ] = 10


class GriffinLim(Vocoder):
    """Speak a mel spectrogram with a phase found by going back and forth between wave and STFT.

    First magnitudes that give the mel spectrogram are found by multiplicative updates, which keep
    them positive and smooth; then the fast Griffin-Lim search makes a wave of them, from starting
    phases that are the same for every call (a steady tone in each bin, spread like a sweep's).
    Above the highest band there is silence. No gradient reaches the features.

    Shape: log-mel (batch, bands, frames) -> wave (batch, frames * hop_samples), full scale 1.
    Source: Griffin and Lim (IEEE Trans. ASSP 1984); Perraudin, Balazs and Sondergaard, "A fast
    Griffin-Lim algorithm" (WASPAA 2013).
    Raises `ComponentError` for features other than a mel spectrogram.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> mel = MelSpectrogram(MelConfig())
    >>> GriffinLim(GriffinLimConfig(iterations=1), mel)(mel(torch.zeros(1, 1024))).shape
    torch.Size([1, 1280])
    """

    Config = GriffinLimConfig
    config: GriffinLimConfig
    differentiable: ClassVar[bool] = False
    spread: Tensor

    def __init__(self, config: GriffinLimConfig, features: Features) -> None:
        super().__init__(config, features)
        self.mel = mel_of(features)
        self.register_buffer("spread", band_interpolation(self.mel), persistent=False)

    @torch.no_grad()
    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave whose mel spectrogram is near the given one."""
        del source
        self.check(features)
        with torch.autocast(features.device.type, enabled=False):
            magnitude = self.magnitude(features.float())
            return self._search(magnitude).to(features.dtype)

    def magnitude(self, log_mel: Tensor) -> Tensor:
        """STFT magnitudes with this log-mel spectrogram, (batch, bins, frames)."""
        filterbank = self.mel.filterbank
        wanted = log_mel.exp()
        reach = (filterbank.sum(dim=0) > 0)[:, None]
        area = filterbank.sum(dim=1, keepdim=True)
        magnitude = torch.matmul(self.spread, wanted / area.clamp(min=1e-12)) * reach
        for _ in range(self.config.mel_iterations):
            missing = wanted / torch.matmul(filterbank, magnitude).clamp(min=1e-12)
            magnitude = magnitude * torch.matmul(self.spread, missing)
        return magnitude

    def _search(self, magnitude: Tensor) -> Tensor:
        frames, hop_samples = magnitude.shape[-1], self.hop_samples
        size, samples = self.mel.config.size, frames * hop_samples - 1
        guess = torch.polar(magnitude, self._starting_phase(magnitude))
        previous = torch.zeros_like(guess)
        for _ in range(self.config.iterations):
            found = stft(istft(guess, hop_samples, samples), size, hop_samples)
            overshot = found + self.config.momentum * (found - previous)
            guess = magnitude * overshot / overshot.abs().clamp(min=1e-12)
            previous = found
        return istft(guess, hop_samples)

    def _starting_phase(self, magnitude: Tensor) -> Tensor:
        """A steady tone in each bin; phases rising as the square keep clicks from piling up."""
        size, frames = self.mel.config.size, magnitude.shape[-1]
        bins = torch.arange(magnitude.shape[-2], dtype=torch.float64)[:, None]
        turns = bins * torch.arange(frames, dtype=torch.float64) * self.hop_samples / size
        turns = (turns + GOLDEN / 2 * bins.square()) % 1
        return (2 * math.pi * turns).to(magnitude).expand_as(magnitude)

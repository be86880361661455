"""Gains that bring a spectrum to a mel spectrogram, for the vocoders that keep a wave's phase."""

import math

import torch
from torch import Tensor, nn

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Features
from selfremaster.core.signals import fit_length, stft
from selfremaster.plugins.vocoders.mel_bands import band_interpolation, mel_of

DB = 20 / math.log(10)  # of one, in the natural logarithm of a magnitude


class MelGains(nn.Module):
    """Raise or lower the bins of a spectrum until its bands are as loud as a log-mel says.

    Raises `ComponentError` for features other than a mel spectrogram.
    """

    spread: Tensor

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.mel = mel_of(features)
        self.hop_samples = self.mel.hop_samples
        self.register_buffer("spread", band_interpolation(self.mel), persistent=False)

    def spectrum(self, wave: Tensor, frames: int) -> Tensor:
        """The STFT of waves (batch, samples), cut or padded with silence to so many frames."""
        if self.mel.frames(wave.shape[-1]) != frames:
            wave = fit_length(wave, frames * self.hop_samples - 1)
        return stft(wave.float(), self.mel.config.size, self.hop_samples)

    def log_mel(self, magnitude: Tensor) -> Tensor:
        """The log-mel of magnitudes (batch, bins, frames)."""
        mel = torch.matmul(self.mel.filterbank, magnitude)
        return mel.clamp(min=self.mel.config.floor).log()

    def corrected(
        self, spectrum: Tensor, wanted: Tensor, most_db: float, refinements: int
    ) -> Tensor:
        """The spectrum with the loudness of a log-mel, no bin raised or lowered by more than that.

        The log gain of the bands is spread over the bins, and as often as wanted corrected by what
        it missed.
        """
        magnitude, limit = spectrum.abs(), most_db / DB
        gain = torch.zeros_like(wanted)
        for _ in range(1 + refinements):
            reached = self.log_mel(magnitude * self.over_bins(gain).exp())
            gain = (gain + wanted - reached).clamp(-limit, limit)
        return spectrum * self.over_bins(gain).exp()

    def over_bins(self, bands: Tensor) -> Tensor:
        """Values of the bands, (batch, bands, frames), along straight lines over the bins."""
        return torch.matmul(self.spread, bands)


def check_wave(wave: Tensor, features: Tensor, name: str) -> None:
    """Raise `ComponentError` where a wave beside the features is not (batch, samples)."""
    if wave.ndim != 2 or wave.shape[0] != features.shape[0]:
        raise ComponentError(
            f"a {name} of shape {tuple(wave.shape)} for features of "
            f"{features.shape[0]} items; give one wave each, (batch, samples)"
        )

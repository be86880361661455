"""MelSpec, the mel-spectrogram variant of the paper."""

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.interfaces import ComponentConfig, Features
from selfremaster.core.signals import mel_filterbank, stft


class MelConfig(ComponentConfig):
    """Settings of `MelSpectrogram`; the defaults are the published ones."""

    sample_rate: Annotated[int, Field(ge=4000, le=192000, description="rate of the model, Hz")] = (
        22050
    )
    size: Annotated[int, Field(ge=16, le=16384, description="FFT and window, samples")] = 1024
    hop_samples: Annotated[int, Field(ge=1, le=8192, description="distance of frames, samples")] = (
        256
    )
    bands: Annotated[int, Field(ge=1, le=1024, description="number of mel bands")] = 80
    fmin_hz: Annotated[float, Field(ge=0, description="lower edge of the lowest band, Hz")] = 0.0
    fmax_hz: Annotated[float, Field(gt=0, description="upper edge of the highest band, Hz")] = (
        8000.0
    )
    floor: Annotated[float, Field(gt=0, lt=1, description="smallest magnitude, before the log")] = (
        1e-5
    )

    @model_validator(mode="after")
    def _check_frequencies(self) -> "MelConfig":
        if not self.fmin_hz < self.fmax_hz <= self.sample_rate / 2:
            raise ValueError(
                f"fmin_hz={self.fmin_hz} and fmax_hz={self.fmax_hz} must rise and lie within half "
                f"the rate ({self.sample_rate / 2} Hz)"
            )
        if self.hop_samples > self.size:
            raise ValueError(
                f"hop_samples={self.hop_samples} is longer than the window of {self.size}"
            )
        return self


class MelSpectrogram(Features):
    """Log-mel spectrogram: how much sound there is in each band of hearing, frame by frame.

    Natural logarithm of the mel-weighted STFT magnitude (power 1), Slaney scale and norm, frames
    centred with reflection; not below log(floor).

    Shape: wave (batch, samples) -> (batch, bands, 1 + samples // hop_samples).
    Source: SelfRemaster (Interspeech 2022), section 3.1; HiFi-GAN's mel settings.

    >>> MelSpectrogram(MelConfig(bands=3))(torch.zeros(1, 600))[0, :, 0].round(decimals=2).tolist()
    [-11.510000228881836, -11.510000228881836, -11.510000228881836]
    """

    Config = MelConfig
    config: MelConfig
    window: Tensor
    filterbank: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__(config)
        self.sample_rate = config.sample_rate
        self.hop_samples = config.hop_samples
        self.channels = self.mel_bands = self.predicted_channels = config.bands
        filterbank = mel_filterbank(
            config.sample_rate, config.size, config.bands, config.fmin_hz, config.fmax_hz
        )
        self.register_buffer("window", torch.hann_window(config.size), persistent=False)
        self.register_buffer("filterbank", filterbank.clone(), persistent=False)

    @property
    def silence(self) -> float:
        """log(floor)."""
        return math.log(self.config.floor)

    def forward(self, wave: Tensor) -> Tensor:
        """The log-mel spectrogram: it is what the vocoder speaks from, too."""
        return self.log_mel(wave)

    def rough(self, log_mel: Tensor) -> Tensor:
        """The log-mel spectrogram itself."""
        return log_mel

    def log_mel(self, wave: Tensor) -> Tensor:
        """The log-mel spectrogram, (batch, samples) -> (batch, bands, frames)."""
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = stft(wave.float(), self.config.size, self.hop_samples, self.window)
            power = spectrum.real.square() + spectrum.imag.square()
            # the root of zero has no gradient: keep a little power, far below the floor
            magnitude = power.clamp(min=1e-20).sqrt()
            mel = torch.matmul(self.filterbank, magnitude)
            return mel.clamp(min=self.config.floor).log()

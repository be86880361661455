"""A channel vocoder whose carrier is noise, as the machines of the 1930s spoke in a whisper."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.signals import istft, stft

LOUDEST = 10.0  # log magnitude; louder features than any wave has would overflow


class NoiseCarrierConfig(ComponentConfig):
    """Settings of `NoiseCarrier`."""

    seed: Annotated[
        int, Field(ge=0, description="which noise; the same seed whispers the same")
    ] = 0


class NoiseCarrier(Vocoder):
    """Whisper: white noise takes the spectral envelope of the features, and no pitch.

    The magnitude of every frequency lies on a straight line between those of its two nearest mel
    bands; the phase is that of a fixed noise. It has no weights, so it needs no training.

    Shape: features (batch, bands, frames) -> wave (batch, frames * hop_samples).
    Source: H. Dudley, "Remaking speech", JASA 11 (1939), the unvoiced channel.
    Raises `ComponentError` when built for features that are not a mel spectrogram.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> whisper = NoiseCarrier(NoiseCarrierConfig(), MelSpectrogram(MelConfig()))
    >>> whisper(torch.zeros(1, 80, 5)).shape  # 5 frames of 256 samples
    torch.Size([1, 1280])
    """

    Config = NoiseCarrierConfig
    config: NoiseCarrierConfig
    interpolation: Tensor

    def __init__(self, config: NoiseCarrierConfig, features: Features) -> None:
        super().__init__(config, features)
        filterbank = getattr(features, "filterbank", None)
        if not isinstance(filterbank, Tensor) or filterbank.shape[0] != features.channels:
            raise ComponentError(
                f"{type(features).__name__} is not a mel spectrogram; use it with features mel"
            )
        self.size = 2 * (filterbank.shape[1] - 1)
        self.register_buffer("interpolation", band_interpolation(filterbank), persistent=False)

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The whisper; the degraded wave is not needed."""
        del source
        frames = features.shape[-1]
        mel = features.to(self.interpolation.dtype).clamp(max=LOUDEST).exp()
        spectrum = torch.matmul(self.interpolation, mel) * self._carrier(frames).to(mel.device)
        return istft(spectrum, self.hop_samples).to(features.dtype)

    def _carrier(self, frames: int) -> Tensor:
        """The spectrum of white noise with a mean magnitude of 1, (bins, frames)."""
        generator = Generator().manual_seed(self.config.seed)
        noise = torch.randn(1, frames * self.hop_samples, generator=generator)
        # the window's squares sum to 3/8 of its size; magnitudes of noise are Rayleigh distributed
        mean = math.sqrt(3 / 8 * self.size) * math.sqrt(math.pi) / 2
        return stft(noise, self.size, self.hop_samples)[0, :, :frames] / mean


def band_interpolation(filterbank: Tensor) -> Tensor:
    """What turns mel magnitudes into those of every frequency, (bins, bands).

    A band's magnitude is divided by the area of its triangle, which gives the level there; between
    the tops of two bands the two levels are mixed. A frequency outside every band stays silent.

    >>> two = torch.tensor([[1.0, 0.5, 0.0, 0.0], [0.0, 0.5, 1.0, 0.0]])  # areas of 1.5
    >>> (1.5 * band_interpolation(two)).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]
    """
    area = filterbank.sum(dim=1, keepdim=True).clamp(min=1e-9)
    triangles = filterbank / filterbank.amax(dim=1, keepdim=True).clamp(min=1e-9)
    share = triangles / triangles.sum(dim=0, keepdim=True).clamp(min=1e-9)
    return (share / area).T.contiguous()

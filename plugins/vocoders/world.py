"""WORLD's synthesis: a vocoder that learns nothing and speaks F0 and mel-cepstrum by rule."""

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.plugins.features.mel_cepstrum import synthesis_matrix
from selfremaster.plugins.features.world import package
from selfremaster.plugins.vocoders.harmonic_noise import (
    LOG_LOUDEST,
    LOG_SOFTEST,
    VOICED_FROM,
    noise_share,
    source_filter_of,
)

CLEAREST = 1e-3  # WORLD's own smallest aperiodicity; its largest is 1 less a trifle
HOARSEST = 1 - 1e-12


class WorldConfig(ComponentConfig):
    """Settings of `World`."""

    noise_corner_hz: Annotated[
        float, Field(gt=0, description="where half of the power of voiced speech is noise, Hz")
    ] = 6000.0


class World(Vocoder):
    """Speak with pulses and noise through the envelope, by the published WORLD synthesiser.

    The features say nothing of how noisy a voice is: all voiced frames get the same aperiodicity,
    clear at low frequencies and half noise at the corner. Works on the processor; no gradient
    reaches the features. The same features give the same wave.

    Shape: features of `source-filter` (batch, channels, frames) -> wave
    (batch, frames * hop_samples), full scale 1.
    Source: Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system
    for real-time applications" (IEICE Trans. Inf. Syst. 2016), section 3.4; the package pyworld.
    Raises `ComponentError` for features without F0 rows or of other channels.

    >>> from selfremaster.plugins.features.source_filter import SourceFilter, SourceFilterConfig
    >>> features = SourceFilter(SourceFilterConfig())
    >>> World(WorldConfig(), features)(torch.zeros(2, features.channels, 3)).shape
    torch.Size([2, 768])
    """

    Config = WorldConfig
    config: WorldConfig
    differentiable: ClassVar[bool] = False
    default_features: ClassVar[str] = "source-filter"
    magnitudes: Tensor

    def __init__(self, config: WorldConfig, features: Features) -> None:
        super().__init__(config, features)
        self.speech = source_filter_of(features)
        self.size = self.speech.config.size
        table = synthesis_matrix(self.size, self.speech.config.order, self.speech.alpha)
        self.register_buffer("magnitudes", table.float(), persistent=False)

    @torch.no_grad()
    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave that F0, voicing and mel-cepstrum describe."""
        del source
        self.check(features)
        rows = features.float()
        f0_hz, voiced = self.speech.pitch_of(rows)
        f0_hz = torch.where(voiced >= VOICED_FROM, f0_hz.clamp(max=self.sample_rate / 4), 0.0)
        with torch.autocast(features.device.type, enabled=False):
            level = torch.matmul(self.magnitudes, self.speech.predicted(rows))
        power = (2 * level.clamp(LOG_SOFTEST, LOG_LOUDEST).cpu().double()).exp().mT.contiguous()
        waves = [
            torch.from_numpy(self._speak(pitch, envelope))
            for pitch, envelope in zip(f0_hz.cpu().double().numpy(), power.numpy(), strict=True)
        ]
        return torch.stack(waves).to(features)

    def _speak(
        self, f0_hz: npt.NDArray[np.float64], power: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """One wave from F0 (frames,) and power spectrum (frames, bins)."""
        samples = len(f0_hz) * self.hop_samples
        # WORLD ends with the last frame, where the sound still lasts a hop
        f0_hz, power = np.append(f0_hz, f0_hz[-1]), np.concatenate([power, power[-1:]])
        frequency_hz = torch.linspace(0, self.sample_rate / 2, self.size // 2 + 1).double()
        share = noise_share(frequency_hz, self.config.noise_corner_hz).sqrt()
        aperiodicity = share.clamp(CLEAREST, HOARSEST).numpy()[None].repeat(len(f0_hz), axis=0)
        period_ms = 1000 * self.hop_samples / self.sample_rate
        wave: npt.NDArray[np.float64] = package("pyworld").synthesize(
            f0_hz, power, aperiodicity, self.sample_rate, period_ms
        )
        return np.pad(wave, (0, max(0, samples - len(wave))))[:samples]

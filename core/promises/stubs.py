"""A whole model of a few hundred numbers, for promises of parts that are given a model."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    AnalysisOutput,
    Analyzer,
    Channel,
    ComponentConfig,
    Features,
    Vocoder,
)
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import RATE_HZ, noise
from selfremaster.core.signals import stft

HOP_SAMPLES = 64
BANDS = 4
CHANNEL_DIM = 3
FLOOR = 1e-5


def _weight(rows: int, columns: int, seed: int) -> nn.Parameter:
    return nn.Parameter(noise(rows, columns, seed=seed, level=0.3))


class StubFeatures(Features):
    """Hear how loud the sound is in four wide bands, as the logarithm of the mean magnitude."""

    sample_rate, hop_samples = RATE_HZ, HOP_SAMPLES
    channels = mel_bands = predicted_channels = BANDS

    def forward(self, wave: Tensor) -> Tensor:
        """The same as `log_mel`."""
        return self.log_mel(wave)

    def log_mel(self, wave: Tensor) -> Tensor:
        """The logarithm of the mean magnitude of each band."""
        spectrum = stft(wave, 2 * HOP_SAMPLES, HOP_SAMPLES)[:, :HOP_SAMPLES]
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = power.clamp(min=1e-20).sqrt()
        bands = magnitude.reshape(len(wave), BANDS, -1, magnitude.shape[-1])
        return bands.mean(dim=2).clamp(min=FLOOR).log()

    @property
    def silence(self) -> float:
        """The logarithm of the floor."""
        return float(torch.tensor(FLOOR).log())


class StubAnalyzer(Analyzer):
    """Hear other loudnesses: each frame's bands are mixed; their means are the channel features."""

    channel_dim = CHANNEL_DIM

    def __init__(self, config: ComponentConfig, features: Features) -> None:
        super().__init__(config, features)
        self.mix = _weight(features.predicted_channels, features.mel_bands, seed=11)
        self.summary = _weight(CHANNEL_DIM, features.mel_bands, seed=12)

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Mixed bands, and mixed means."""
        channel_features = torch.tanh(log_mel.mean(dim=-1) @ self.summary.T)
        return AnalysisOutput(torch.matmul(self.mix, log_mel), channel_features)


class StubVocoder(Vocoder):
    """Speak a fixed sound for each band in each frame, as loud as the features have it."""

    def __init__(self, config: ComponentConfig, features: Features) -> None:
        super().__init__(config, features)
        self.sounds = _weight(features.hop_samples, features.channels, seed=13)

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The frames' sounds, one after another."""
        del source
        return torch.tanh(features.transpose(1, 2) @ self.sounds.T / 4).flatten(1)


class StubChannel(Channel):
    """Colour the wave by three taps, and change its level as the channel features say."""

    def __init__(self, config: ComponentConfig, channel_dim: int) -> None:
        super().__init__(config, channel_dim)
        self.taps = nn.Parameter(torch.tensor([[[0.2, 0.7, -0.1]]]))
        self.levels = _weight(channel_dim, 1, seed=14)

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The coloured wave."""
        coloured = functional.conv1d(wave[:, None], self.taps, padding=1)[:, 0]
        return coloured * torch.exp(channel_features @ self.levels)


class UnnamedVocoder(Vocoder):
    """Speak nothing: an objective that calls it has not said that it does."""

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """Raises `ComponentError`."""
        raise ComponentError("the vocoder is used; name it in trained or in uses")


def stub_model(*modules: str) -> Model:
    """A model of these modules alone (analyzer, vocoder, channel), always of the same weights."""
    config = ComponentConfig()
    features = StubFeatures(config)
    vocoder = StubVocoder if "vocoder" in modules else UnnamedVocoder
    return Model(
        features,
        vocoder(config, features),
        StubAnalyzer(config, features) if "analyzer" in modules else None,
        StubChannel(config, CHANNEL_DIM) if "channel" in modules else None,
    )

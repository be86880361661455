"""The distance of two waves in log-mel, as vocoders are trained by it."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from selfremaster.core.interfaces import (
    ComponentConfig,
    Features,
    FeaturesSpec,
    Loss,
    default_part,
)


class MelL1Config(ComponentConfig):
    """Settings of `MelL1`; the default covers the full band, as HiFi-GAN's training does."""

    features: Annotated[
        FeaturesSpec, Field(description="the features whose log-mel spectrogram is compared")
    ] = default_part("mel:fmax_hz=11025")


class MelL1(Loss):
    """Compare how loud two waves are in every band of hearing, frame by frame.

    The mean absolute difference of the log-mel spectrograms (natural logarithm): 0.115 is 1 dB.

    Shape: two waves (batch, samples) -> scalar. The longer one is cut.
    Source: Kong, Kim and Bae, "HiFi-GAN" (NeurIPS 2020), equation 5, without its weight of 45.

    >>> import torch
    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> wave = torch.linspace(-0.5, 0.5, 4096)[None]
    >>> loss = MelL1(MelL1Config(), MelSpectrogram(MelConfig(floor=1e-9)))
    >>> loss(wave, 2 * wave).round(decimals=3)
    tensor(0.6930)
    """

    Config = MelL1Config
    config: MelL1Config

    def __init__(self, config: MelL1Config, features: Features) -> None:
        super().__init__(config)
        self.features = features
        self.sample_rate = features.sample_rate

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The mean absolute difference of the log-mel spectrograms."""
        samples = min(estimate.shape[-1], target.shape[-1])
        difference = self.features.log_mel(estimate[..., :samples]) - self.features.log_mel(
            target[..., :samples]
        )
        return difference.abs().mean()

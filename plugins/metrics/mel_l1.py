"""Mel distance, how far two mel spectrograms are apart."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig, FeaturesSpec, default_part
from selfremaster.core.interfaces import Features, Metric
from selfremaster.core.levels import peak_gain, resample
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, match_level, pair

PEAK_DB = -3.0
NEPERS_PER_DB = math.log(10) / 20


class MelDistanceConfig(ComponentConfig):
    """Settings of `MelDistance`."""

    features: Annotated[
        FeaturesSpec, Field(description="whose mel spectrogram is taken, at its own rate")
    ] = default_part("mel")
    floor_db: Annotated[
        float,
        Field(ge=-200, lt=0, description="smallest magnitude, dB below the reference's loudest"),
    ] = -80.0
    match_level: Annotated[
        bool, Field(description="give the estimate the RMS level of the reference first")
    ] = True


class MelDistance(Metric):
    """Hear how far the loudness of the bands of hearing is from the clean one, frame by frame.

    Mean over bands and frames of |difference| of the natural logarithms of the mel spectrograms,
    both not below a floor that follows the reference; 1 is 8.7 dB. Rate: both waves are brought to
    the rate of the features (22050 Hz by default). Gain: taken out first, unless ``match_level`` is
    off; then both get the gain that brings the reference to a peak of -3 dBFS. Lag: not taken out.
    A silent reference gives no number.

    Shape: waves (samples,) -> {"mel-l1": nepers, lower is better}.
    Source: the mel distance that HiFi-GAN (Kong et al., 2020) is validated by.
    Raises `ComponentError` without a reference.

    e times the wave is 1 away in every band:

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> features = MelSpectrogram(MelConfig())
    >>> distance = MelDistance(MelDistanceConfig(match_level=False), features)
    >>> wave = torch.randn(8000, generator=torch.Generator().manual_seed(0)) / 20
    >>> round(distance.compute(math.e * wave, 22050, wave)["mel-l1"], 3)
    1.0
    """

    Config = MelDistanceConfig
    config: MelDistanceConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"mel-l1": "lower"}

    def __init__(self, config: MelDistanceConfig, features: Features) -> None:
        super().__init__(config)
        self.features = features

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The distance from the reference."""
        heard, clean = pair(estimate, reference)
        if not clean.any():
            return {"mel-l1": NOT_A_NUMBER}
        if self.config.match_level:
            heard = match_level(heard, clean)
        waves = torch.stack([heard, clean]) * peak_gain(float(clean.abs().max()), PEAK_DB)
        with torch.no_grad():
            mels = self.features.log_mel(resample(waves, sample_rate, self.features.sample_rate))
        floor = float(mels[1].max()) + self.config.floor_db * NEPERS_PER_DB
        mels = mels.clamp(min=floor)
        return {"mel-l1": float((mels[0] - mels[1]).abs().mean())}

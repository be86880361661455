"""An analysis module at the frame rate: fast, with all bands in sight at once."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from selfremaster.core.interfaces import (
    AnalysisOutput,
    Analyzer,
    ComponentConfig,
    Features,
)
from selfremaster.plugins.analyzers.mel_unet import LEVEL_STEP, rough_of
from selfremaster.plugins.analyzers.unet2d import check_log_mel
from selfremaster.plugins.convnext import Trunk


class ConvNextConfig(ComponentConfig):
    """Settings of `ConvNext`; the default has 4.6 million parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {},
        "tiny": {"width": 32, "inner": 64, "blocks": 2, "channel_dim": 16},
    }
    preset: Annotated[
        Literal["base", "tiny"], Field(description="base: for use; tiny: for tests")
    ] = "base"
    width: Annotated[PositiveInt, Field(description="channels of the trunk")] = 320
    inner: Annotated[PositiveInt, Field(description="channels inside of its blocks")] = 800
    blocks: Annotated[PositiveInt, Field(description="blocks of the trunk")] = 8
    channel_dim: Annotated[int, Field(ge=1, le=4096, description="how many channel features")] = 128
    residual: Annotated[
        bool,
        Field(
            description="predict a change of what the log-mel itself tells of the features, where "
            "it tells any"
        ),
    ] = True


class ConvNext(Analyzer):
    """Hear the clean speech and the sound of the recording apart, by a network along time.

    A trunk of ConvNeXt blocks at the frame rate reads all bands of a frame and its neighbours (27
    frames to both sides with 8 blocks), and begins by leaving the log-mel as it is. The channel
    features come from the mean and the spread, over all frames, of what the trunk hears. Nothing is
    normalised over time, so that what is heard at one time does not depend on the rest; on a
    processor it is several times as fast as the 2-D U-Net of as many parameters.

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and channel
    features (batch, channel_dim). Any number of frames from 1.
    Source: the blocks of ConvNeXt (Liu et al., 2022) along time, as in Vocos (Siuzdak, 2023);
    pooling by mean and deviation as in x-vectors (Snyder et al., 2018).
    Raises `ComponentError` for other bands.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> analyzer = ConvNext(ConvNextConfig(preset="tiny"), MelSpectrogram(MelConfig(bands=3)))
    >>> heard = analyzer(torch.tensor([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]]))
    >>> heard.features.tolist(), tuple(heard.channel_features.shape)
    ([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]], (1, 16))
    """

    Config = ConvNextConfig
    config: ConvNextConfig

    def __init__(self, config: ConvNextConfig, features: Features) -> None:
        super().__init__(config, features)
        self.channel_dim = config.channel_dim
        self.rough = rough_of(features) if config.residual else None
        self.trunk = Trunk(
            features.mel_bands,
            config.width,
            config.inner,
            config.blocks,
            features.predicted_channels,
        )
        if self.rough is not None:
            for parameter in self.trunk.last.parameters():
                nn.init.zeros_(parameter)
        self.channel_features = nn.Sequential(
            nn.Linear(2 * config.width, config.width),
            nn.GELU(),
            nn.Linear(config.width, config.channel_dim),
        )

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Clean speech features and channel features of a degraded recording."""
        hidden = self._hidden(log_mel)
        spread, mean = torch.var_mean(hidden.float(), dim=1, correction=0)
        told = torch.cat([mean, (spread + 1e-5).sqrt()], dim=-1)
        return AnalysisOutput(self._features(log_mel, hidden), self.channel_features(told))

    def predict(self, log_mel: Tensor) -> Tensor:
        """The clean speech features alone; the branch for channel features rests."""
        return self._features(log_mel, self._hidden(log_mel))

    def channel_parameters(self) -> list[nn.Parameter]:
        """Those of the branch for channel features."""
        return list(self.channel_features.parameters())

    def _hidden(self, log_mel: Tensor) -> Tensor:
        check_log_mel(log_mel, self.mel_bands)
        return self.trunk.hidden((log_mel - self.silence) / LEVEL_STEP - 1)

    def _features(self, log_mel: Tensor, hidden: Tensor) -> Tensor:
        features = LEVEL_STEP * self.trunk.told_by(hidden)
        return features if self.rough is None else self.rough(log_mel) + features

"""The residual 2-D U-Net of the paper: the analysis module with its branch for channel features."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import AnalysisOutput, Analyzer, Features
from selfremaster.plugins.analyzers.blocks import (
    ResidualBlock,
    Width,
    add_way_down,
    go_down,
    initialise,
    order_weights,
)
from selfremaster.plugins.analyzers.mel_unet import MelUNet, MelUNetConfig

__all__ = ["ChannelFeatures", "MelUNet", "UNet2d", "UNet2dConfig", "check_log_mel"]


class UNet2dConfig(MelUNetConfig):
    """Settings of `UNet2d`; the defaults are those of the preset ``small``."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {
            "widths": (32, 64, 128, 256),
            "blocks": 4,
            "branch_widths": (512, 256, 256),
            "norm": "batch",
            "level": "raw",
            "frame_padding": "zero",
            "top_band": "drop",
            "pooling": "all",
            "residual": False,
        },
    }

    branch_widths: Annotated[
        tuple[Width, ...],
        Field(
            min_length=1,
            max_length=8,
            description="channels of the branch for channel features: of its first block, then of "
            "each level, which halves the map",
        ),
    ] = (96, 64)
    pooling: Annotated[
        Literal["masked", "all"],
        Field(description="channel features: a mean over the real frames, or over filled ones too"),
    ] = "masked"
    channel_seconds: Annotated[
        float | None,
        Field(
            gt=0,
            description="channel features over time: the recording is divided into equal parts of "
            "about so many seconds, each with its own; null: one set for all of it",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_pooling(self) -> "UNet2dConfig":
        if self.channel_seconds is not None and self.pooling == "all":
            raise ValueError(
                "channel_seconds needs pooling=masked: filled-up frames belong to no time"
            )
        return self


class ChannelFeatures(nn.Module):
    """Sum up how a recording sounds, whatever is said in it, in one vector or one for each time.

    Shape: a map of `MelUNet` (batch, channels, columns, rows), columns that hold frames (a
    fraction counts) -> (batch, channel_dim), or (batch, channel_dim, times) where times are asked
    for.
    """

    def __init__(self, config: UNet2dConfig) -> None:
        super().__init__()
        self.masked = config.pooling == "masked"
        style = config.style()._replace(ceil=self.masked)
        first, *others = config.branch_widths
        self.conv_blocks_in = ResidualBlock(style, config.widths[-1], first)
        add_way_down(self, style, first, others)
        self.conv_block_out = ResidualBlock(style, config.branch_widths[-1], config.channel_dim)
        self.levels = len(others)
        initialise(self)

    def fold(self) -> Self:
        """Order the weights as processors like them, in place."""
        return order_weights(self)

    def forward(self, channel_map: Tensor, columns: float, times: int | None = None) -> Tensor:
        """The channel features."""
        if self.masked:
            channel_map = channel_map[:, :, : math.ceil(columns)]
        hidden, _ = go_down(self, self.conv_blocks_in(channel_map), self.levels)
        hidden = torch.mean(self.conv_block_out(hidden), dim=3)
        if not self.masked:
            return torch.mean(hidden, dim=2)
        real = columns / 2**self.levels
        if times is not None:
            return mean_of_parts(hidden, real, times)
        column = torch.arange(hidden.shape[2], dtype=torch.float64)
        weights = (real - column).clamp(max=1) / real
        return torch.sum(hidden * weights.to(device=hidden.device, dtype=hidden.dtype), dim=2)


def mean_of_parts(hidden: Tensor, columns: float, times: int) -> Tensor:
    """Divide a map into equal parts of its real columns, and give the mean of each.

    A part may begin and end within a column, which then counts as far as the part has it. The mean
    of all parts is that of the real columns.

    Shape: (batch, channels, columns, up) -> (batch, channels, times).

    >>> mean_of_parts(torch.tensor([[[5.0, 10.0, 20.0]]]), columns=2.5, times=2).tolist()
    [[[6.0, 14.0]]]
    """
    borders = torch.arange(times + 1, dtype=torch.float64) * (columns / times)
    column = torch.arange(hidden.shape[2], dtype=torch.float64)[:, None]
    within = torch.minimum(borders[1:], column + 1) - torch.maximum(borders[:-1], column)
    weights = within.clamp(min=0) * (times / columns)
    return torch.matmul(hidden, weights.to(device=hidden.device, dtype=hidden.dtype))


class UNet2d(Analyzer):
    """Hear the clean speech and the sound of the recording apart, by a residual 2-D U-Net.

    The preset ``paper`` is the published architecture with its quirks, each of them a setting;
    ``small`` (the default) is narrower and begins by leaving the log-mel as it is. It normalises
    nothing, so that what is heard at one time does not depend on how long or loud the rest is.

    With ``channel_seconds`` the channel features are those of equal parts of the recording, as many
    as make each about so long; vector t of T stands for the centre of its part, (t + 1/2) / T of
    the recording, to within a hop. The network looks beyond the parts, so they overlap in what
    they hear; parts of fewer frames than a column of the branch holds (32 of ``small``, 0.37
    seconds) have nothing of their own.

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and channel
    features (batch, channel_dim), or (batch, channel_dim, times) with ``channel_seconds``. Any
    number of frames from 1, any number of bands.
    Source: SelfRemaster (Interspeech 2022), section 3. Raises `ComponentError` for other bands.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> analyzer = UNet2d(UNet2dConfig(widths=(4, 8)), MelSpectrogram(MelConfig(bands=3)))
    >>> heard = analyzer(torch.tensor([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]]))
    >>> heard.features.tolist(), tuple(heard.channel_features.shape)
    ([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]], (1, 128))
    """

    Config = UNet2dConfig
    config: UNet2dConfig

    def __init__(self, config: UNet2dConfig, features: Features) -> None:
        super().__init__(config, features)
        self.channel_dim = config.channel_dim
        self.encoder = MelUNet(config, features)
        self.channelfeats = ChannelFeatures(config)
        self.over_time = config.channel_seconds is not None
        self.frames_a_time = (
            config.channel_seconds * features.sample_rate / features.hop_samples
            if config.channel_seconds is not None
            else math.inf
        )

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Clean speech features and channel features of a degraded recording."""
        check_log_mel(log_mel, self.mel_bands)
        features, channel_map = self.encoder(log_mel)
        frames = log_mel.shape[-1]
        columns = frames / 2**self.encoder.levels
        return AnalysisOutput(features, self.channelfeats(channel_map, columns, self.times(frames)))

    def times(self, frames: int) -> int | None:
        """How many vectors of channel features so many frames have; none for one vector of all."""
        return max(1, round(frames / self.frames_a_time)) if self.over_time else None

    def predict(self, log_mel: Tensor) -> Tensor:
        """The clean speech features alone; the branch for channel features rests."""
        check_log_mel(log_mel, self.mel_bands)
        features: Tensor = self.encoder(log_mel)[0]
        return features

    def channel_parameters(self) -> list[nn.Parameter]:
        """Those of the branch for channel features, without its first block, as published."""
        return list(self.channelfeats.parameters())


def check_log_mel(log_mel: Tensor, mel_bands: int) -> None:
    """Raise `ComponentError` where a tensor is no log-mel of so many bands."""
    if log_mel.dim() != 3 or log_mel.shape[1] != mel_bands or log_mel.shape[2] < 1:
        raise ComponentError(
            f"a log-mel of shape {tuple(log_mel.shape)}; give (batch, {mel_bands} mel bands, "
            "1 frame or more), as the features object computes it"
        )

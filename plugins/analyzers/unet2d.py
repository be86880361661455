"""The residual 2-D U-Net of the paper: the analysis module with its branch for channel features."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import AnalysisOutput, Analyzer, ComponentConfig, Features
from selfremaster.plugins.analyzers.blocks import (
    Blocks,
    Norm,
    Preset,
    ResidualBlock,
    Style,
    Width,
    add_way_down,
    add_way_up,
    begin_silent,
    go_down,
    go_up,
    initialise,
    make_convolution,
)

LEVEL_STEP = 4.0  # nepers that count as one inside the network: about twice the spread of speech


class UNet2dConfig(ComponentConfig):
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

    preset: Preset = "small"
    widths: Annotated[
        tuple[Width, ...],
        Field(
            min_length=1, max_length=8, description="channels of each level; each halves the map"
        ),
    ] = (16, 32, 64, 96)
    blocks: Blocks = 1
    branch_widths: Annotated[
        tuple[Width, ...],
        Field(
            min_length=1,
            max_length=8,
            description="channels of the branch for channel features: of its first block, then of "
            "each level, which halves the map",
        ),
    ] = (96, 64)
    channel_dim: Annotated[int, Field(ge=1, le=4096, description="how many channel features")] = 128
    norm: Norm = "none"
    level: Annotated[
        Literal["from-silence", "raw"],
        Field(description="how the log-mel enters: its distance from silence / 4, or as it is"),
    ] = "from-silence"
    frame_padding: Annotated[
        Literal["floor", "zero"],
        Field(description="what fills up the frames inside: silence, or log-mel 0 (full scale)"),
    ] = "floor"
    top_band: Annotated[
        Literal["keep", "drop"],
        Field(description="drop: the top mel band is not read, and guessed from the others"),
    ] = "keep"
    pooling: Annotated[
        Literal["masked", "all"],
        Field(description="channel features: a mean over the real frames, or over filled ones too"),
    ] = "masked"
    residual: Annotated[
        bool,
        Field(description="predict a change of the log-mel, where a log-mel is predicted"),
    ] = True


class MelUNet(nn.Module):
    """Predict clean speech features from the log-mel spectrogram of a recording.

    The style-token variant is this network without a map for channel features.

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and, where
    ``channel_map`` asks for it, the map that channel features are read from (batch, widths[-1],
    ceil(frames / 2 ** levels), mel_bands / 2 ** levels).
    Source: SelfRemaster (Interspeech 2022), section 3; the blocks are those of Kong et al. (2021).
    """

    def __init__(self, config: UNet2dConfig, features: Features, channel_map: bool = True) -> None:
        super().__init__()
        self.config = config
        self.silence = features.silence
        self.levels = len(config.widths)
        self.residual = config.residual and features.predicted_channels == features.mel_bands
        if config.top_band == "drop" and features.mel_bands < 2:
            raise ComponentError("top_band=drop leaves nothing of 1 mel band; write top_band=keep")
        style = style_of(config)
        width = config.widths[-1]
        add_way_down(self, style, 1, config.widths)
        self.add_module(f"conv_block{self.levels + 1}", ResidualBlock(style, width, width))
        add_way_up(self, style, width, config.widths)
        self.after_conv_block1 = ResidualBlock(style, config.widths[0], config.widths[0])
        self.after_conv2 = make_convolution(style, config.widths[0], 1, 1)
        self.after_linear = nn.Linear(features.mel_bands, features.predicted_channels)
        self.conv_channel = ResidualBlock(style, width, width) if channel_map else None
        initialise(self)
        if self.residual:
            begin_silent(self.after_linear)

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor | None]:
        """The predicted features, and the map for channel features."""
        frames = log_mel.shape[-1]
        hidden, full_maps = go_down(self, self.prepare(log_mel), self.levels)
        channel_map = None if self.conv_channel is None else self.conv_channel(hidden)
        hidden = self.get_submodule(f"conv_block{self.levels + 1}")(hidden)
        hidden = go_up(self, hidden, full_maps)
        predicted = self.after_conv2(self.after_conv_block1(hidden))[:, 0, :frames]
        if self.config.top_band == "drop":
            predicted = functional.pad(predicted, (0, 1))
        features: Tensor = self.after_linear(predicted).transpose(1, 2)
        if self.config.level == "from-silence":
            features = features * LEVEL_STEP
        return (log_mel + features if self.residual else features), channel_map

    def prepare(self, log_mel: Tensor) -> Tensor:
        """What the first block reads, (batch, 1, a multiple of 2 ** levels frames, bands)."""
        padding = -log_mel.shape[-1] % 2**self.levels
        value = self.silence if self.config.frame_padding == "floor" else 0.0
        hidden = functional.pad(log_mel, (0, padding), value=value).transpose(1, 2)[:, None]
        if self.config.top_band == "drop":
            hidden = hidden[..., :-1]
        if self.config.level == "from-silence":
            hidden = (hidden - self.silence) / LEVEL_STEP
        return hidden


class ChannelFeatures(nn.Module):
    """Sum up how a recording sounds, whatever is said in it, in one vector.

    Shape: a map of `MelUNet` (batch, channels, columns, rows), columns that hold frames (a
    fraction counts) -> (batch, channel_dim).
    """

    def __init__(self, config: UNet2dConfig) -> None:
        super().__init__()
        self.masked = config.pooling == "masked"
        style = style_of(config)._replace(ceil=self.masked)
        first, *others = config.branch_widths
        self.conv_blocks_in = ResidualBlock(style, config.widths[-1], first)
        add_way_down(self, style, first, others)
        self.conv_block_out = ResidualBlock(style, config.branch_widths[-1], config.channel_dim)
        self.levels = len(others)
        initialise(self)

    def forward(self, channel_map: Tensor, columns: float) -> Tensor:
        """The channel features."""
        if self.masked:
            channel_map = channel_map[:, :, : math.ceil(columns)]
        hidden, _ = go_down(self, self.conv_blocks_in(channel_map), self.levels)
        hidden = torch.mean(self.conv_block_out(hidden), dim=3)
        if not self.masked:
            return torch.mean(hidden, dim=2)
        real = columns / 2**self.levels
        weights = [min(1.0, real - column) / real for column in range(hidden.shape[2])]
        return torch.sum(hidden * hidden.new_tensor(weights), dim=2)


class UNet2d(Analyzer):
    """Hear the clean speech and the sound of the recording apart, by a residual 2-D U-Net.

    The preset ``paper`` is the published architecture with its quirks, each of them a setting;
    ``small`` (the default) is narrower and begins by leaving the log-mel as it is. It normalises
    nothing, so that what is heard at one time does not depend on how long or loud the rest is.

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and channel
    features (batch, channel_dim). Any number of frames from 1, any number of bands.
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

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Clean speech features and channel features of a degraded recording."""
        check_log_mel(log_mel, self.mel_bands)
        features, channel_map = self.encoder(log_mel)
        columns = log_mel.shape[-1] / 2**self.encoder.levels
        return AnalysisOutput(features, self.channelfeats(channel_map, columns))

    def predict(self, log_mel: Tensor) -> Tensor:
        """The clean speech features alone; the branch for channel features rests."""
        check_log_mel(log_mel, self.mel_bands)
        features: Tensor = self.encoder(log_mel)[0]
        return features


def style_of(config: UNet2dConfig) -> Style:
    """What all blocks have in common."""
    return Style(dims=2, norm=config.norm, blocks=config.blocks, ceil=config.top_band == "keep")


def check_log_mel(log_mel: Tensor, mel_bands: int) -> None:
    """Raise `ComponentError` where a tensor is no log-mel of so many bands."""
    if log_mel.dim() != 3 or log_mel.shape[1] != mel_bands or log_mel.shape[2] < 1:
        raise ComponentError(
            f"a log-mel of shape {tuple(log_mel.shape)}; give (batch, {mel_bands} mel bands, "
            "1 frame or more), as the features object computes it"
        )

"""The residual 2-D U-Net that analysis modules predict clean speech features with."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features
from selfremaster.core.precisions import exactly
from selfremaster.plugins.analyzers.blocks import (
    Blocks,
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
    order_weights,
)
from selfremaster.plugins.analyzers.norms import Norm, splits_domains

LEVEL_STEP = 4.0  # nepers that count as one inside the network: about twice the spread of speech


class MelUNetConfig(ComponentConfig):
    """Settings that the analysis modules with a `MelUNet` share."""

    preset: Preset = "small"
    widths: Annotated[
        tuple[Width, ...],
        Field(
            min_length=1, max_length=8, description="channels of each level; each halves the map"
        ),
    ] = (16, 32, 64, 96)
    blocks: Blocks = 1
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
    residual: Annotated[
        bool,
        Field(
            description="predict a change of what the log-mel itself tells of the features (all of "
            "a log-mel, the smooth part of a mel-cepstrum), where it tells any"
        ),
    ] = True

    def starts_from(self, found: ComponentConfig) -> bool:
        """From the same settings, or from `batch` where two domains are to be told apart now."""
        return super().starts_from(found) or splits_domains(self, found)

    def style(self) -> Style:
        """What all blocks have in common."""
        return Style(dims=2, norm=self.norm, blocks=self.blocks, ceil=self.top_band == "keep")

    def entered(self, log_mel: Tensor, silence: float) -> Tensor:
        """The log-mel as it enters a network."""
        return (log_mel - silence) / LEVEL_STEP if self.level == "from-silence" else log_mel


class MelUNet(nn.Module):
    """Predict clean speech features from the log-mel spectrogram of a recording.

    The style-token variant is this network without a map for channel features. With ``residual`` it
    begins with what the features object says of the log-mel itself (`Features.rough`).

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and, where
    ``channel_map`` asks for it, the map that channel features are read from (batch, widths[-1],
    ceil(frames / 2 ** levels), mel_bands / 2 ** levels).
    Source: SelfRemaster (Interspeech 2022), section 3; the blocks are those of Kong et al. (2021).
    """

    def __init__(self, config: MelUNetConfig, features: Features, channel_map: bool = True) -> None:
        super().__init__()
        self.config = config
        self.silence = features.silence
        self.levels = len(config.widths)
        self.rough = rough_of(features) if config.residual else None
        same_scale = features.predicted_channels == features.mel_bands
        self.step = LEVEL_STEP if config.level == "from-silence" and same_scale else 1.0
        if config.top_band == "drop" and features.mel_bands < 2:
            raise ComponentError("top_band=drop leaves nothing of 1 mel band; write top_band=keep")
        style = config.style()
        width = config.widths[-1]
        add_way_down(self, style, 1, config.widths)
        self.add_module(f"conv_block{self.levels + 1}", ResidualBlock(style, width, width))
        add_way_up(self, style, width, config.widths)
        self.after_conv_block1 = ResidualBlock(style, config.widths[0], config.widths[0])
        self.after_conv2 = make_convolution(style, config.widths[0], 1, 1)
        self.after_linear = nn.Linear(features.mel_bands, features.predicted_channels)
        self.conv_channel = ResidualBlock(style, width, width) if channel_map else None
        initialise(self)
        if self.rough is not None:
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
        with exactly(log_mel.device):  # of the levels themselves the rounding would be heard
            features = (
                self.after_linear(predicted.to(self.after_linear.weight)).transpose(1, 2)
                * self.step
            )
        return (features if self.rough is None else self.rough(log_mel) + features), channel_map

    def fold(self) -> Self:
        """Order the weights as processors like them, in place; what is heard stays the same."""
        return order_weights(self)

    def prepare(self, log_mel: Tensor) -> Tensor:
        """What the first block reads, (batch, 1, a multiple of 2 ** levels frames, bands)."""
        padding = -log_mel.shape[-1] % 2**self.levels
        value = self.silence if self.config.frame_padding == "floor" else 0.0
        hidden = functional.pad(log_mel, (0, padding), value=value).transpose(1, 2)[:, None]
        if self.config.top_band == "drop":
            hidden = hidden[..., :-1]
        return self.config.entered(hidden, self.silence)


def rough_of(features: Features) -> Callable[[Tensor], Tensor] | None:
    """The features' rough guess from a log-mel, where they have any.

    It is a method, not a module: what it needs stays with the features, and goes where they go.
    """
    tried = features.rough(torch.full((1, features.mel_bands, 1), features.silence))
    return None if tried is None else features.rough  # type: ignore[return-value]  # just tried

"""The style-token variant of the paper: channel features by attention to a few learned tokens."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.interfaces import AnalysisOutput, Analyzer, Features
from selfremaster.plugins.analyzers.blocks import Width
from selfremaster.plugins.analyzers.mel_unet import MelUNet, MelUNetConfig
from selfremaster.plugins.analyzers.norms import make_norm
from selfremaster.plugins.analyzers.unet2d import check_log_mel

REFERENCE_MOMENTUM = 0.1  # of the reference encoder's running statistics, as is usual
TOKEN_SPREAD = 0.5  # standard deviation of the tokens before training


class UNet2dGstConfig(MelUNetConfig):
    """Settings of `UNet2dGst`; the defaults are those of the preset ``small``."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {
            "widths": (32, 64, 128, 256),
            "blocks": 4,
            "norm": "batch",
            "level": "raw",
            "frame_padding": "zero",
            "top_band": "drop",
            "residual": False,
            "reference_widths": (32, 32, 64, 64, 128, 128),
            "summary_width": 256,
        },
    }

    reference_widths: Annotated[
        tuple[Width, ...],
        Field(
            min_length=1,
            max_length=8,
            description="channels of the reference encoder's convolutions; each halves the map",
        ),
    ] = (16, 16, 32, 32, 64, 64)
    summary_width: Annotated[
        int,
        Field(ge=1, le=4096, description="numbers that the reference encoder sums up in (GRU)"),
    ] = 128
    tokens: Annotated[int, Field(ge=1, le=1024, description="how many style tokens")] = 10
    heads: Annotated[
        int, Field(ge=1, le=64, description="heads of the attention, each of its own weights")
    ] = 8

    @model_validator(mode="after")
    def _check_heads(self) -> "UNet2dGstConfig":
        if self.channel_dim % self.heads:
            raise ValueError(
                f"channel_dim={self.channel_dim} cannot be shared by heads={self.heads} equally; "
                "make it a multiple of heads"
            )
        return self


class ReferenceEncoder(nn.Module):
    """Listen to a recording from its beginning to its end, and sum up what was heard.

    Shape: (batch, frames, mel_bands), any number of frames from 1 -> (batch, summary_width).
    Source: Skerry-Ryan et al. (2018), section 3.2.
    """

    def __init__(self, config: UNet2dGstConfig, mel_bands: int) -> None:
        super().__init__()
        inputs = (1, *config.reference_widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs[index], outputs, 3, stride=2, padding=1)
            for index, outputs in enumerate(config.reference_widths)
        )
        self.bns = nn.ModuleList(
            make_norm(config.norm, 2, outputs, REFERENCE_MOMENTUM)
            for outputs in config.reference_widths
        )
        rows = math.ceil(mel_bands / 2 ** len(config.reference_widths))
        self.gru = nn.GRU(rows * config.reference_widths[-1], config.summary_width)

    def forward(self, mel: Tensor) -> Tensor:
        """The summary."""
        hidden = mel[:, None]
        for convolution, norm in zip(self.convs, self.bns, strict=True):
            hidden = functional.relu(norm(convolution(hidden)))
        _, summary = self.gru(hidden.permute(2, 0, 1, 3).flatten(2))
        last: Tensor = summary[0]
        return last


class Attention(nn.Module):
    """Mix tokens by how well they answer a query, by several heads.

    Shape: query (batch, summary_width), tokens (tokens, token width) -> (batch, channel_dim).
    Source: Vaswani et al. (2017), section 3.2, without a projection of what is mixed.
    """

    def __init__(self, config: UNet2dGstConfig) -> None:
        super().__init__()
        self.heads = config.heads
        width = config.channel_dim
        self.W_query = nn.Linear(config.summary_width, width, bias=False)
        self.W_key = nn.Linear(width // config.heads, width, bias=False)
        self.W_value = nn.Linear(width // config.heads, width, bias=False)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """The mixture."""
        queries = self.W_query(query).unflatten(1, (self.heads, -1))
        keys = self.W_key(tokens).unflatten(1, (self.heads, -1))
        values = self.W_value(tokens).unflatten(1, (self.heads, -1))
        scores = torch.einsum("bhd,thd->bht", queries, keys) / math.sqrt(keys.shape[-1])
        return torch.einsum("bht,thd->bhd", torch.softmax(scores, dim=-1), values).flatten(1)


class StyleTokenLayer(nn.Module):
    """Describe a recording as a mixture of styles that all recordings share.

    Shape: (batch, summary_width) -> (batch, channel_dim).
    """

    def __init__(self, config: UNet2dGstConfig) -> None:
        super().__init__()
        width = config.channel_dim // config.heads
        self.embed = nn.Parameter(TOKEN_SPREAD * torch.randn(config.tokens, width))
        self.attention = Attention(config)

    def forward(self, summary: Tensor) -> Tensor:
        """The mixture."""
        mixed: Tensor = self.attention(summary, torch.tanh(self.embed))
        return mixed


class StyleTokens(nn.Module):
    """Sum up how a recording sounds as a mixture of a few sounds that recordings have.

    Shape: (batch, frames, mel_bands), any number of frames from 1 -> (batch, channel_dim).
    Source: global style tokens (Wang et al., 2018).
    """

    def __init__(self, config: UNet2dGstConfig, mel_bands: int) -> None:
        super().__init__()
        self.encoder_post = ReferenceEncoder(config, mel_bands)
        self.stl = StyleTokenLayer(config)

    def forward(self, mel: Tensor) -> Tensor:
        """The channel features."""
        mixed: Tensor = self.stl(self.encoder_post(mel))
        return mixed


class UNet2dGst(Analyzer):
    """Hear the speech by a residual 2-D U-Net, and the sound of the recording as a mix of tokens.

    Channel features come from the log-mel itself, not from a map of the U-Net: a reference encoder
    listens from beginning to end, and what it has heard chooses among a few style tokens. They
    describe the recording as a whole and cannot be had over time. The preset ``paper`` is the
    published architecture; ``small`` (the default) is narrower, normalises nothing, and begins by
    leaving the speech as it is. Nothing is filled up for the reference encoder; beyond its ends is
    silence, or log-mel 0 with ``level=raw``.

    Shape: log-mel (batch, mel_bands, frames) -> (batch, predicted_channels, frames) and channel
    features (batch, channel_dim). Any number of frames from 1, any number of bands.
    Source: SelfRemaster (Interspeech 2022), section 3; style tokens: Wang et al. (2018). Raises
    `ComponentError` for other bands.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> analyzer = UNet2dGst(UNet2dGstConfig(widths=(4, 8)), MelSpectrogram(MelConfig(bands=3)))
    >>> heard = analyzer(torch.tensor([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]]))
    >>> heard.features.tolist(), tuple(heard.channel_features.shape)
    ([[[-4.0, -5.0], [-6.0, -6.0], [-9.0, -7.0]]], (1, 128))
    """

    Config = UNet2dGstConfig
    config: UNet2dGstConfig

    def __init__(self, config: UNet2dGstConfig, features: Features) -> None:
        super().__init__(config, features)
        self.channel_dim = config.channel_dim
        self.encoder = MelUNet(config, features, channel_map=False)
        self.gst = StyleTokens(config, features.mel_bands)

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Clean speech features and channel features of a degraded recording."""
        features = self.predict(log_mel)
        entered = self.config.entered(log_mel, self.silence)
        return AnalysisOutput(features, self.gst(entered.transpose(1, 2)))

    def predict(self, log_mel: Tensor) -> Tensor:
        """The clean speech features alone; the style tokens rest."""
        check_log_mel(log_mel, self.mel_bands)
        features: Tensor = self.encoder(log_mel)[0]
        return features

    def channel_parameters(self) -> list[nn.Parameter]:
        """Those of the reference encoder and the style tokens."""
        return list(self.gst.parameters())

"""The 1-D U-Net of the paper: the channel module, which puts the damage onto a clean wave."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Channel, ComponentConfig
from selfremaster.core.signals import fit_length
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
)
from selfremaster.plugins.analyzers.conditions import Condition
from selfremaster.plugins.analyzers.norms import Norm, splits_domains


class UNet1dConfig(ComponentConfig):
    """Settings of `UNet1d`; the defaults are those of the preset ``small``."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {
            "widths": (32, 64, 128, 256, 512),
            "factor": 2,
            "blocks": 4,
            "kernel": 3,
            "bottleneck_width": 384,
            "conditioning": "concat",
            "norm": "batch",
            "last_sample": "drop",
        },
    }

    preset: Preset = "small"
    widths: Annotated[
        tuple[Width, ...],
        Field(min_length=1, max_length=8, description="channels at each level, at full rate first"),
    ] = (16, 32, 64, 64)
    factor: Annotated[
        int, Field(ge=2, le=16, description="how much lower the rate is from level to level")
    ] = 4
    blocks: Blocks = 1
    kernel: Annotated[
        Literal[3, 5, 7, 9],
        Field(description="length of the convolutions, in samples of their level"),
    ] = 5
    bottleneck_width: Annotated[
        int, Field(ge=1, le=4096, description="channels of the map at the bottom")
    ] = 64
    conditioning: Annotated[
        Literal["film", "concat"],
        Field(
            description="where channel features act: on the scale and shift of the maps in all "
            "blocks (film), or joined to the map at the bottom only (concat)"
        ),
    ] = "film"
    norm: Norm = "none"
    last_sample: Annotated[
        Literal["keep", "drop"],
        Field(description="drop: the last sample of the filled-up wave is lost and given as 0"),
    ] = "keep"
    residual: Annotated[
        bool,
        Field(
            description="predict a change of the wave, none at first, instead of the wave; dual "
            "learning from fresh weights may then stay where analysis and channel do nothing"
        ),
    ] = False

    def starts_from(self, found: ComponentConfig) -> bool:
        """From the same settings, or from `batch` where two domains are to be told apart now."""
        return super().starts_from(found) or splits_domains(self, found)


class UNet1d(Channel):
    """Put the sound of a recording onto a clean wave, by a residual 1-D U-Net.

    The preset ``paper`` is the published architecture with its quirks, each of them a setting
    (``kernel`` is that of its second version); ``small`` (the default) is narrower and lets the
    channel features act in all of its blocks: filters and levels of clipping are made near the full
    rate, where the bottom of the network has no say. It normalises nothing, because damage depends
    on the level.

    Channel features over time hold at the centres of as many equal parts of the wave; between the
    centres they change linearly, before the first and after the last not at all.

    Shape: wave (batch, samples), channel features (batch, channel_dim) or (batch, channel_dim,
    times) -> wave (batch, samples). Any number of samples from 1; full scale is 1; nothing is
    delayed.
    Source: SelfRemaster (Interspeech 2022), section 3; kernels 5 to 9: IEEE Access 2024. Raises
    `ComponentError` for other shapes.

    >>> channel = UNet1d(UNet1dConfig(widths=(4, 8), residual=True), channel_dim=2)
    >>> channel(torch.tensor([[0.5, -1.0, 0.25]]), torch.ones(1, 2)).tolist()
    [[0.5, -1.0, 0.25]]
    """

    Config = UNet1dConfig
    config: UNet1dConfig
    over_time = True

    def __init__(self, config: UNet1dConfig, channel_dim: int) -> None:
        super().__init__(config, channel_dim)
        film = config.conditioning == "film"
        style = Style(
            dims=1,
            kernel=config.kernel,
            norm=config.norm,
            blocks=config.blocks,
            ceil=config.last_sample == "keep",
            condition_dim=channel_dim if film else 0,
        )
        self.levels = len(config.widths)
        bottom, width = config.bottleneck_width, config.widths[0]
        add_way_down(self, style, 1, config.widths, config.factor)
        block = ResidualBlock(style, config.widths[-1], bottom)
        self.add_module(f"conv_block{self.levels + 1}", block)
        joined = bottom if film else bottom + channel_dim
        add_way_up(self, style, joined, config.widths, config.factor)
        self.after_conv_block1 = ResidualBlock(style, width, width)
        self.after_conv2 = make_convolution(style, width, 1, 1)
        initialise(self)
        if config.residual:
            begin_silent(self.after_conv2)

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The wave as the recording would have kept it."""
        self._check(wave, channel_features)
        samples = wave.shape[-1]
        hidden = wave[:, None]
        if self.config.last_sample == "drop":
            multiple = 2 * self.config.factor**self.levels  # as published: twice the need
            hidden = functional.pad(hidden, (0, -samples % multiple - 1))
        if channel_features.dim() == 3 and channel_features.shape[2] == 1:
            channel_features = channel_features[..., 0]
        condition = Condition(channel_features, samples, self.config.factor)
        changed = fit_length(self._through(hidden, condition)[:, 0], samples)
        return wave + changed if self.config.residual else changed

    def _through(self, hidden: Tensor, condition: Condition) -> Tensor:
        steering = condition if self.config.conditioning == "film" else None
        hidden, full_maps = go_down(self, hidden, self.levels, steering)
        bottom = condition.at_level(self.levels)
        block = self.get_submodule(f"conv_block{self.levels + 1}")
        hidden = block(hidden, steering and bottom)
        if steering is None:
            spread = bottom.along(bottom.values, hidden.shape[2])
            hidden = torch.cat([hidden, spread.expand(-1, -1, hidden.shape[2])], dim=1)
        hidden = go_up(self, hidden, full_maps, steering)
        changed: Tensor = self.after_conv2(self.after_conv_block1(hidden, steering))
        return changed

    def _check(self, wave: Tensor, channel_features: Tensor) -> None:
        if wave.dim() != 2 or wave.shape[1] < 1:
            raise ComponentError(
                f"a wave of shape {tuple(wave.shape)}; give (batch, 1 sample or more)"
            )
        found, wanted = tuple(channel_features.shape), (wave.shape[0], self.channel_dim)
        if found[:2] != wanted or len(found) > 3 or 0 in found[2:]:
            raise ComponentError(
                f"channel features of shape {found} for {wave.shape[0]} waves; give {wanted}, or "
                f"({wanted[0]}, {wanted[1]}, 1 time or more)"
            )

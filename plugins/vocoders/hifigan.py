"""HiFi-GAN, the adversarially trained vocoder of the paper."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.plugins.vocoders.weight_norm import Convolution

SLOPE = 0.1
LAST_SLOPE = 0.01  # the published generator leaves the library's default before its last layer
PIECE_SAMPLES = 1 << 17  # spoken at once, of all items: larger maps come and go by the page


class HifiGanConfig(ComponentConfig):
    """Settings of `HifiGan`; the defaults are those of V1."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "v1": {},
        "v1-source-filter": {},
        "v2": {"initial_channels": 128},
        "v3": {
            "upsample_rates": (8, 8, 4),
            "upsample_kernels": (16, 16, 8),
            "initial_channels": 256,
            "block": 2,
            "block_kernels": (3, 5, 7),
            "block_dilations": ((1, 2), (2, 6), (3, 12)),
        },
    }

    preset: Annotated[
        Literal["v1", "v1-source-filter", "v2", "v3"],
        Field(description="published sizes; v1-source-filter is v1, fed F0 and mel-cepstrum"),
    ] = "v1"
    upsample_rates: Annotated[
        tuple[PositiveInt, ...],
        Field(min_length=1, description="upsampling of each stage; their product is the hop"),
    ] = (8, 8, 2, 2)
    upsample_kernels: Annotated[
        tuple[PositiveInt, ...],
        Field(description="kernel of each stage; longer than its rate by an even number"),
    ] = (16, 16, 4, 4)
    initial_channels: Annotated[
        int, Field(ge=2, le=4096, description="channels before the first stage; each stage halves")
    ] = 512
    block: Annotated[
        Literal[1, 2],
        Field(description="residual block: 1 has pairs of convolutions, 2 single ones"),
    ] = 1
    block_kernels: Annotated[
        tuple[PositiveInt, ...],
        Field(min_length=1, description="odd kernels of the parallel residual blocks"),
    ] = (3, 7, 11)
    block_dilations: Annotated[
        tuple[tuple[PositiveInt, ...], ...],
        Field(description="dilations inside each of the parallel residual blocks"),
    ] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    weight_norm: Annotated[
        bool,
        Field(description="keep length and direction of the weights apart, as training wants it"),
    ] = True
    lag_samples: Annotated[
        int,
        Field(
            ge=0,
            description="by how much the weights lag, cut off at the start; half a hop for "
            "published weights, which were trained with frames that are not centred",
        ),
    ] = 0

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        stages = len(self.upsample_rates)
        if len(self.upsample_kernels) != stages:
            raise ValueError(
                f"{stages} upsample_rates and {len(self.upsample_kernels)} upsample_kernels; "
                "give one kernel for each rate"
            )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            if kernel < rate or (kernel - rate) % 2:
                raise ValueError(
                    f"upsample kernel {kernel} for rate {rate}; it must be longer by an even "
                    f"number, such as {2 * rate if rate % 2 == 0 else 3 * rate}"
                )
        if self.initial_channels % 2**stages:
            raise ValueError(
                f"initial_channels={self.initial_channels} cannot be halved {stages} times; "
                f"choose a multiple of {2**stages}"
            )
        if len(self.block_dilations) != len(self.block_kernels) or () in self.block_dilations:
            raise ValueError(
                f"{len(self.block_kernels)} block_kernels need as many groups of block_dilations"
            )
        even = [kernel for kernel in self.block_kernels if kernel % 2 == 0]
        if even:
            raise ValueError(f"block_kernels {even} are even; only odd kernels keep the length")
        return self


def _same(channels: int, kernel: int, dilation: int, weight_norm: bool) -> Convolution:
    padding = (kernel - 1) * dilation // 2
    layer = nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation)
    return Convolution(layer, weight_norm)


class PairedBlock(nn.Module):
    """Residual block 1: pairs of a dilated and a plain convolution.

    Shape: (batch, channels, 1, samples) -> the same.
    """

    def __init__(
        self, channels: int, kernel: int, dilations: tuple[int, ...], weight_norm: bool
    ) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(channels, kernel, d, weight_norm) for d in dilations)
        self.convs2 = nn.ModuleList(_same(channels, kernel, 1, weight_norm) for _ in dilations)

    def forward(self, hidden: Tensor) -> Tensor:
        """Refine the sound at several time spans."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            refined = dilated(functional.leaky_relu(hidden, SLOPE))
            hidden = plain(functional.leaky_relu(refined, SLOPE)).add_(hidden)
        return hidden


class SingleBlock(nn.Module):
    """Residual block 2: single dilated convolutions.

    Shape: (batch, channels, 1, samples) -> the same.
    """

    def __init__(
        self, channels: int, kernel: int, dilations: tuple[int, ...], weight_norm: bool
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same(channels, kernel, d, weight_norm) for d in dilations)

    def forward(self, hidden: Tensor) -> Tensor:
        """Refine the sound at several time spans."""
        for dilated in self.convs:
            hidden = dilated(functional.leaky_relu(hidden, SLOPE)).add_(hidden)
        return hidden


class HifiGan(Vocoder):
    """Speak the features by stages of upsampling, each refined by parallel residual blocks.

    Shape: features (batch, channels, frames) -> wave (batch, frames * hop_samples), full scale 1.
    Source: Kong, Kim and Bae, "HiFi-GAN" (NeurIPS 2020), section 2.2 and appendix A.

    Published vocoder files load as they are (their ``generator`` entry), and so do folded ones.
    `fold` drops the weight norm where no more training follows. Raises `ComponentError` when the
    upsampling does not make one hop of a frame, or the features have other channels.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> vocoder = HifiGan(HifiGanConfig(preset="v2"), MelSpectrogram(MelConfig()))
    >>> vocoder(torch.zeros(2, 80, 3)).shape
    torch.Size([2, 768])
    """

    Config = HifiGanConfig
    config: HifiGanConfig

    def __init__(self, config: HifiGanConfig, features: Features) -> None:
        super().__init__(config, features)
        hop_samples = math.prod(config.upsample_rates)
        if hop_samples != features.hop_samples:
            raise ComponentError(
                f"upsample_rates={list(config.upsample_rates)} make {hop_samples} samples of a "
                f"frame, the features have hop_samples={features.hop_samples}; choose rates whose "
                "product is the hop"
            )
        if config.lag_samples > hop_samples:
            raise ComponentError(
                f"lag_samples={config.lag_samples} is more than one frame of {hop_samples} samples"
            )
        kept, width = config.weight_norm, config.initial_channels
        self.conv_pre = Convolution(nn.Conv1d(features.channels, width, 7, padding=3), kept)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        block = PairedBlock if config.block == 1 else SingleBlock
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            padding = (kernel - rate) // 2
            stage = nn.ConvTranspose1d(width, width // 2, kernel, rate, padding)
            self.ups.append(Convolution(stage, kept))
            width //= 2
            for size, dilations in zip(config.block_kernels, config.block_dilations, strict=True):
                self.resblocks.append(block(width, size, dilations, kept))
        self.conv_post = Convolution(nn.Conv1d(width, 1, 7, padding=3), kept)

    def fold(self) -> Self:
        """Fold the weight norm into the weights, in place; the sound stays the same."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fold()
        return self

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave that the speech features describe."""
        del source
        self.check(features)
        lag, samples = self.config.lag_samples, features.shape[-1] * self.hop_samples
        if lag:
            features = functional.pad(features, (0, 1), mode="replicate")
        in_one = self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
        wave = self.spoken(features) if in_one else self._spoken_in_pieces(features)
        return wave[:, lag : lag + samples]

    def spoken(self, features: Tensor) -> Tensor:
        """The wave of all frames at once, (batch, frames * hop_samples), without the lag."""
        rows = features[:, :, None].contiguous(memory_format=torch.channels_last)
        hidden = self.conv_pre(rows)
        parallel = len(self.config.block_kernels)
        for stage, upsample in enumerate(self.ups):
            hidden = upsample(functional.leaky_relu(hidden, SLOPE))
            blocks = list(self.resblocks)[stage * parallel : (stage + 1) * parallel]
            total = blocks[0](hidden)
            for refine in blocks[1:]:
                total.add_(refine(hidden))
            hidden = total / parallel
        wave = torch.tanh(self.conv_post(functional.leaky_relu(hidden, LAST_SLOPE)))
        return wave[:, 0, 0]

    def _spoken_in_pieces(self, features: Tensor) -> Tensor:
        """The same, some seconds at a time with all that they hang on: what is small is fast."""
        frames, reach = features.shape[-1], self.reach_frames
        piece = max(PIECE_SAMPLES // (self.hop_samples * len(features)), 4 * reach)
        spoken = []
        for start in range(0, frames, piece):
            first, last = max(start - reach, 0), min(start + piece, frames)
            wave = self.spoken(features[..., first : last + reach])
            begins, ends = ((place - first) * self.hop_samples for place in (start, last))
            spoken.append(wave[:, begins:ends])
        return torch.cat(spoken, dim=-1)

    @cached_property
    def reach_frames(self) -> int:
        """How many frames on either side the sound of a frame hangs on, at most."""
        settings = self.config
        second = int(settings.block == 1)  # such blocks have another convolution after each dilated
        blocks = zip(settings.block_kernels, settings.block_dilations, strict=True)
        widest = max(
            (size // 2) * sum(dilation + second for dilation in dilations)
            for size, dilations in blocks
        )
        reach, rate = 3.0, 1  # of the first convolution; samples that a frame has at a stage
        stages = zip(settings.upsample_rates, settings.upsample_kernels, strict=True)
        for upsample, kernel in stages:
            reach += kernel / upsample / rate
            rate *= upsample
            reach += widest / rate
        return math.ceil(reach + 3 / rate)

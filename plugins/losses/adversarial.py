"""The adversarial loss of HiFi-GAN: discriminators that learn what speech sounds like."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import AdversarialLoss, ComponentConfig
from selfremaster.core.signals import hann_window

SLOPE = 0.1
COMPRESSION = 0.3  # the power to which magnitudes are taken for discriminators that see spectra
SOFT_POWER = 1e-6  # of a bin, below which nothing is made louder
PERIOD_STRIDES = (3, 3, 3, 3, 1)
SCALE_LAYERS = (
    (15, 1, 1),
    (41, 2, 4),
    (41, 2, 16),
    (41, 4, 16),
    (41, 4, 16),
    (41, 1, 16),
    (5, 1, 1),
)
"""Kernel, stride and groups of each layer of a scale discriminator."""


class AdversarialConfig(ComponentConfig):
    """Settings of `Adversarial`; the defaults are the published ones."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "hifigan": {},
        "small": {
            "period_channels": (8, 32, 64, 64, 64),
            "scale_channels": (4, 8, 16, 32, 64, 64, 64),
        },
        "spectral": {
            "period_channels": (8, 32, 64, 64, 64),
            "scales": 0,
            "windows": (2048, 1024, 512),
        },
    }

    preset: Annotated[
        Literal["hifigan", "small", "spectral"],
        Field(
            description="hifigan: published sizes; small: for training on a CPU; spectral: "
            "likewise, with spectra in place of scales"
        ),
    ] = "hifigan"
    periods: Annotated[
        tuple[PositiveInt, ...],
        Field(description="one discriminator for each; it compares samples so far apart"),
    ] = (2, 3, 5, 7, 11)
    period_channels: Annotated[
        tuple[PositiveInt, ...],
        Field(min_length=5, max_length=5, description="channels of the period discriminators"),
    ] = (32, 128, 512, 1024, 1024)
    scales: Annotated[
        int, Field(ge=0, le=6, description="discriminators at full rate, half, quarter, ...")
    ] = 3
    scale_channels: Annotated[
        tuple[PositiveInt, ...],
        Field(min_length=7, max_length=7, description="channels of the scale discriminators"),
    ] = (128, 128, 256, 512, 1024, 1024, 1024)
    windows: Annotated[
        tuple[Annotated[int, Field(ge=32)], ...],
        Field(description="windows of STFTs, samples; a discriminator for each sees that one"),
    ] = ()
    window_channels: Annotated[
        PositiveInt, Field(description="channels of the discriminators that see spectra")
    ] = 16
    feature_weight: Annotated[
        float, Field(ge=0, description="weight of feature matching beside the judgement")
    ] = 2.0


class Judgement(NamedTuple):
    """What one discriminator says of a wave: 1 for true, 0 for made, and how it came to it."""

    score: Tensor
    maps: list[Tensor]


class PeriodDiscriminator(nn.Module):
    """Judge a wave by samples that lie one period apart, folded into rows.

    Shape: wave (batch, samples) -> score (batch, 1, rows, period). Any length from 1 is taken.
    """

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(given, made, (5, 1), (stride, 1), padding=(2, 0)))
            for given, made, stride in zip((1, *channels), channels, PERIOD_STRIDES, strict=False)
        )
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wave: Tensor) -> Judgement:
        """Score and feature maps."""
        missing = -wave.shape[-1] % self.period
        mode = "reflect" if wave.shape[-1] > missing else "constant"
        padded = functional.pad(wave[:, None], (0, missing), mode=mode)
        folded = padded.reshape(wave.shape[0], 1, -1, self.period)
        # faster on a CPU, most of all in bfloat16
        return _judge(self.layers, self.last, folded.to(memory_format=torch.channels_last))


class ScaleDiscriminator(nn.Module):
    """Judge a wave by long stretches of it.

    Shape: wave (batch, samples) -> score (batch, 1, steps). Any length from 1 is taken.
    """

    def __init__(self, channels: tuple[int, ...], spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        self.layers = nn.ModuleList()
        given = 1
        for made, (kernel, stride, most_groups) in zip(channels, SCALE_LAYERS, strict=True):
            groups = math.gcd(most_groups, given, made)
            layer = nn.Conv1d(given, made, kernel, stride, padding=kernel // 2, groups=groups)
            self.layers.append(norm(layer))
            given = made
        self.last = norm(nn.Conv1d(given, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> Judgement:
        """Score and feature maps."""
        return _judge(self.layers, self.last, wave[:, None])


class SpectralDiscriminator(nn.Module):
    """Judge a wave by its complex STFT, whose magnitudes are compressed so that soft parts count.

    Shape: wave (batch, samples) -> score (batch, 1, frames, bins). Any length from 1 is taken.
    Source: after the multi-scale STFT discriminator of Défossez et al., "High Fidelity Neural Audio
    Compression" (2022), section 3.4, on the discriminators of Jang et al., "UnivNet" (2021).
    """

    window: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", hann_window(size), persistent=False)
        kernels = ((3, 9), (3, 9), (3, 9), (3, 9), (3, 3))
        strides = ((1, 2), (1, 2), (1, 2), (1, 2), (1, 1))
        self.layers = nn.ModuleList()
        given = 2
        for kernel, stride in zip(kernels, strides, strict=True):
            padding = (kernel[0] // 2, kernel[1] // 2)
            self.layers.append(weight_norm(nn.Conv2d(given, channels, kernel, stride, padding)))
            given = channels
        self.last = weight_norm(nn.Conv2d(given, 1, (3, 3), padding=(1, 1)))

    def forward(self, wave: Tensor) -> Judgement:
        """Score and feature maps."""
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = torch.stft(
                wave.float(),
                self.size,
                self.size // 4,
                window=self.window,
                pad_mode="constant",
                return_complex=True,
            )
            parts = torch.view_as_real(spectrum)
            power = parts.square().sum(dim=-1, keepdim=True) + SOFT_POWER
            compressed = (parts * power ** ((COMPRESSION - 1) / 2)).permute(0, 3, 2, 1)
        seen = compressed.to(memory_format=torch.channels_last)
        return _judge(self.layers, self.last, seen)


def _judge(layers: nn.ModuleList, last: nn.Module, hidden: Tensor) -> Judgement:
    maps = []
    for layer in layers:
        hidden = functional.leaky_relu(layer(hidden), SLOPE)
        maps.append(hidden.float())
    score = last(hidden).float()
    return Judgement(score, [*maps, score])


class Adversarial(AdversarialLoss):
    """Ask discriminators, trained alongside, whether a wave sounds like a recorded one.

    Several of them look at samples some periods apart, others at the wave at falling rates, and
    those of ``windows``, which the published ones lack, at its spectra. The generator's side is the
    least-squares loss plus ``feature_weight`` times the distance of the discriminators' feature
    maps, summed over the discriminators; it leaves no gradient in their parameters.
    `discriminator_loss` leaves none in the waves.

    Shape: two waves (batch, samples) -> scalar. The longer one is cut; any length from 1 is taken.
    Source: Kong, Kim and Bae, "HiFi-GAN" (NeurIPS 2020), sections 2.3 and 2.4.
    Raises `ComponentError` for waves of other shapes, or when no discriminator is asked for.

    >>> judge = Adversarial(AdversarialConfig(preset="small"))
    >>> wave = torch.zeros(1, 100)
    >>> bool(judge(wave, wave) > 0), judge.discriminator_loss(wave, wave).ndim
    (True, 0)
    """

    Config = AdversarialConfig
    config: AdversarialConfig

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__(config)
        if not config.periods and not config.scales and not config.windows:
            raise ComponentError(
                "periods=[], scales=0 and windows=[] leave no discriminator; ask for one"
            )
        self.period_discriminators = nn.ModuleList(
            PeriodDiscriminator(period, config.period_channels) for period in config.periods
        )
        self.scale_discriminators = nn.ModuleList(
            ScaleDiscriminator(config.scale_channels, spectral=scale == 0)
            for scale in range(config.scales)
        )
        self.spectral_discriminators = nn.ModuleList(
            SpectralDiscriminator(size, config.window_channels) for size in config.windows
        )

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The generator's side: be taken for true, by the same features as the true wave."""
        estimate, target = _alike(estimate, target)
        with _frozen(self):
            made = self._judgements(estimate)
            with torch.no_grad():
                true = self._judgements(target)
        loss = estimate.new_zeros(())
        for judged, model in zip(made, true, strict=True):
            loss = loss + (1 - judged.score).square().mean()
            if self.config.feature_weight:
                for found, wanted in zip(judged.maps, model.maps, strict=True):
                    loss = loss + self.config.feature_weight * (found - wanted).abs().mean()
        return loss

    def discriminator_loss(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The discriminators' side: tell the true wave (1) from the made one (0)."""
        estimate, target = _alike(estimate.detach(), target.detach())
        loss = estimate.new_zeros(())
        for judged in self._judgements(torch.cat([target, estimate])):
            true, made = judged.score.chunk(2)
            loss = loss + (1 - true).square().mean() + made.square().mean()
        return loss

    def _judgements(self, wave: Tensor) -> list[Judgement]:
        judgements = [judge(wave) for judge in self.period_discriminators]
        judgements += [judge(wave) for judge in self.spectral_discriminators]
        for judge in self.scale_discriminators:
            judgements.append(judge(wave))
            wave = functional.avg_pool1d(wave[:, None], 4, 2, padding=2)[:, 0]
        return judgements


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Record no gradient for the parameters inside the block; saves their share of the work."""
    moved = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in moved:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moved:
            parameter.requires_grad_(True)


def _alike(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if estimate.ndim != 2 or target.ndim != 2 or estimate.shape[0] != target.shape[0]:
        raise ComponentError(
            f"waves of shapes {tuple(estimate.shape)} and {tuple(target.shape)}; "
            "give two of (batch, samples) with the same batch"
        )
    samples = min(estimate.shape[1], target.shape[1])
    return estimate[:, :samples], target[:, :samples]

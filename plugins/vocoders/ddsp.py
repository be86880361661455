"""A small differentiable synthesiser: pulses and noise through filters that a network corrects."""

from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.effects import grid_of
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.plugins.features.mel_cepstrum import synthesis_matrix
from selfremaster.plugins.features.source_filter import CENTRE_HZ
from selfremaster.plugins.vocoders.harmonic_noise import (
    LOG_LOUDEST,
    LOG_SOFTEST,
    at_samples,
    cycles,
    filter_frames,
    noise_share,
    onsets,
    phase_matrix,
    pulses,
    response_size,
    source_filter_of,
    steady_noise,
)

OCTAVES = 0.5  # around 150 Hz, as far as F0 of speech goes on average
LOG_LEVEL, LOG_SPREAD = -5.0, 3.0  # the same of the envelope's log magnitudes


class DdspConfig(ComponentConfig):
    """Settings of `Ddsp`."""

    width: Annotated[int, Field(ge=1, le=4096, description="channels of the network")] = 192
    kernel: Annotated[
        int, Field(ge=1, le=63, description="frames that each convolution hears; odd")
    ] = 3
    dilations: Annotated[
        tuple[PositiveInt, ...],
        Field(description="distance of those frames, for each block of the network"),
    ] = (1, 2, 4, 1, 2, 4)
    order: Annotated[
        int,
        Field(ge=1, le=400, description="highest mel-cepstral coefficient that is corrected"),
    ] = 60
    noise_corner_hz: Annotated[
        float,
        Field(gt=0, description="where half of voiced speech is noise, before any training, Hz"),
    ] = 6000.0

    @model_validator(mode="after")
    def _check_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel} is even; only odd kernels keep the length")
        return self


class Block(nn.Module):
    """Correct what is known of each frame by what its neighbours say.

    Shape: (batch, width, frames) -> the same.
    """

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        padding = (kernel - 1) * dilation // 2
        self.around = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.mixed = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Add the correction."""
        levelled = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        corrected: Tensor = hidden + self.mixed(functional.gelu(self.around(levelled)))
        return corrected


class Ddsp(Vocoder):
    """Speak by rule, with pulses at F0 and noise through the envelope, and learn to do it better.

    The mel-cepstrum is the minimum-phase filter of a pulse train (all harmonics below half the
    rate) and of white noise, mixed by the voicing and by a share of noise that rises with
    frequency. A network of dilated convolutions hears the features and corrects, frame by frame,
    the mel-cepstra of both filters and the phase of the pulses. Its last layer begins at zero:
    untrained it is a plain pulse-and-noise vocoder, and training starts from intelligible speech.
    The noise is always the same. Gradients reach mel-cepstrum and voicing, not F0.

    Shape: features of `source-filter` (batch, channels, frames) -> wave
    (batch, frames * hop_samples), full scale 1. Any number of frames from 1.
    Source: after Engel et al., "DDSP: Differentiable digital signal processing" (ICLR 2020),
    section 3: harmonics of F0 and noise filtered frame by frame, the controls from a network. Here
    the amplitudes of the harmonics are samples of an envelope, the network corrects a known one,
    and convolutions take the place of the recurrent decoder; no reverberation.
    Raises `ComponentError` for features without F0 rows or of other channels.

    >>> from selfremaster.plugins.features.source_filter import SourceFilter, SourceFilterConfig
    >>> features = SourceFilter(SourceFilterConfig())
    >>> Ddsp(DdspConfig(), features)(torch.zeros(2, features.channels, 3)).shape
    torch.Size([2, 768])
    """

    Config = DdspConfig
    config: DdspConfig
    default_features: ClassVar[str] = "source-filter"
    magnitudes: Tensor
    phases: Tensor
    share: Tensor
    heard: Tensor

    def __init__(self, config: DdspConfig, features: Features) -> None:
        super().__init__(config, features)
        self.speech = source_filter_of(features)
        order, alpha = self.speech.config.order, self.speech.alpha
        finest = max(order, config.order)
        size = response_size(self.hop_samples)
        tables = {
            "magnitudes": synthesis_matrix(size, finest, alpha),
            "phases": phase_matrix(size, finest, alpha),
            "heard": synthesis_matrix(2 * order, order, 0.0),  # evenly spaced on the warped scale
            "share": noise_share(
                torch.linspace(0, self.sample_rate / 2, size // 2 + 1), config.noise_corner_hz
            ),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)
        self.first = nn.Conv1d(order + 3, config.width, 1)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.kernel, dilation) for dilation in config.dilations)
        )
        self.last = nn.Conv1d(config.width, 3 * (config.order + 1), 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave that F0, voicing and mel-cepstrum describe."""
        del source
        self.check(features)
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float()
            f0_hz, voiced = self.speech.pitch_of(rows)
            f0_hz = f0_hz.detach().clamp(1.0, self.sample_rate / 4)
            cepstrum = self.speech.predicted(rows)
            pitch = (f0_hz / CENTRE_HZ).log2() / OCTAVES
            levels = (torch.matmul(self.heard, cepstrum) - LOG_LEVEL) / LOG_SPREAD
            told = torch.cat([torch.stack([pitch, voiced], dim=1), levels], dim=1)
        corrections: Tensor = self.last(self.blocks(self.first(told)))
        with torch.autocast(features.device.type, enabled=False):
            of_pulses, of_noise, turn = corrections.float().chunk(3, dim=1)
            filters = [
                (_sum(cepstrum, of_pulses), _sum(_sum(cepstrum, of_pulses), turn)),
                (_sum(cepstrum, of_noise), _sum(cepstrum, of_noise)),
            ]
            return self._speak(f0_hz, voiced, filters).to(features.dtype)

    def _speak(self, f0_hz: Tensor, voiced: Tensor, filters: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Pulses and noise, each through its own filter: mel-cepstra of its level and its phase."""
        beyond = functional.pad(torch.stack([f0_hz, voiced], dim=1), (1, 2), mode="replicate")
        pitch_hz = at_samples(beyond[:, 0], self.hop_samples)
        starts = onsets(beyond[:, 1])
        grid = grid_of(self.hop_samples)
        phase = cycles(pitch_hz, self.sample_rate, starts, grid // 2 // self.hop_samples)
        voice = pulses(pitch_hz, self.sample_rate, phase)
        noise = steady_noise(voice.shape[-1], voice, grid).expand_as(voice)
        of_pulses = beyond[:, 1, 1:-1, None] * (1 - self.share)
        responses = [
            self._response(*cepstra, power)
            for cepstra, power in zip(filters, (of_pulses, 1 - of_pulses), strict=True)
        ]
        return filter_frames(torch.stack([voice, noise]), torch.stack(responses), self.hop_samples)

    def _response(self, of_level: Tensor, of_phase: Tensor, power: Tensor) -> Tensor:
        """A complex response for each frame and one more, with a part of the power."""
        # the sound lasts a hop beyond the last frame, which would fade out otherwise
        of_level, of_phase = (
            functional.pad(cepstrum, (0, 1), mode="replicate") for cepstrum in (of_level, of_phase)
        )
        level = torch.matmul(self.magnitudes, of_level).clamp(LOG_SOFTEST, LOG_LOUDEST)
        phase = torch.matmul(self.phases, of_phase)
        # the root of zero has no gradient
        magnitude = level.mT.exp() * power.clamp(min=1e-9).sqrt()
        return torch.polar(magnitude, phase.mT)


def _sum(first: Tensor, second: Tensor) -> Tensor:
    """The sum of two mel-cepstra, of which either may go on further."""
    rows = max(first.shape[1], second.shape[1])
    first, second = (
        functional.pad(part, (0, 0, 0, rows - part.shape[1])) for part in (first, second)
    )
    return first + second

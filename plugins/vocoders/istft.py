"""A fast vocoder: a network at the frame rate filters pulses and noise for an inverse STFT."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.effects import grid_of
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.precisions import exactly
from selfremaster.core.signals import hann_window
from selfremaster.plugins.convnext import Trunk
from selfremaster.plugins.features.source_filter import CENTRE_HZ
from selfremaster.plugins.features.world import f0_track, highest_f0_hz
from selfremaster.plugins.vocoders.harmonic_noise import (
    LOG_LOUDEST,
    LOG_SOFTEST,
    at_samples,
    cycles,
    filter_frames,
    minimum_phase,
    noise_share,
    onsets,
    pulses,
    response_size,
    steady_noise,
    swelling,
    turned,
)
from selfremaster.plugins.vocoders.mel_bands import band_interpolation, mel_of
from selfremaster.plugins.vocoders.portable_istft import PortableIstft

LOG_LEVEL, LOG_SPREAD = -5.0, 2.5  # of the log-mel of speech, about
LEAST_POWER = 1e-4  # of pulses or noise before the network has its say, as a part of the whole
SWELLING_POWER = 0.25  # of noise that swells, as a part of all noise, likewise
AROUND_PITCHES = 4  # on both sides of the likeliest: F0 is the mean of them
BLUR_PITCHES = 1.0  # standard deviation of the F0 that is learned
DIO_DECIMATION = 3  # as in the features `source-filter`


class IstftConfig(ComponentConfig):
    """Settings of `Istft`; the default has 3 million parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {},
        "tiny": {"width": 32, "inner": 64, "blocks": 2, "pitch_width": 16, "pitch_blocks": 1},
    }
    preset: Annotated[
        Literal["base", "tiny"], Field(description="base: for use; tiny: for tests")
    ] = "base"
    width: Annotated[PositiveInt, Field(description="channels of the trunk")] = 256
    inner: Annotated[PositiveInt, Field(description="channels inside of its blocks")] = 640
    blocks: Annotated[PositiveInt, Field(description="blocks of the trunk")] = 6
    pitch_width: Annotated[
        PositiveInt, Field(description="channels of the network that hears the pitch")
    ] = 128
    pitch_blocks: Annotated[PositiveInt, Field(description="blocks of that network")] = 4
    f0_floor_hz: Annotated[float, Field(ge=40, description="lowest F0 spoken, Hz")] = 60.0
    f0_ceil_hz: Annotated[
        float,
        Field(
            gt=0,
            description="highest F0 spoken, Hz, up to a twelfth of the rate: above it WORLD, from "
            "which F0 is learned, hears none",
        ),
    ] = 600.0
    pitches: Annotated[
        int, Field(ge=16, le=1024, description="how many are told apart between them, in octaves")
    ] = 128
    noise_corner_hz: Annotated[
        float,
        Field(gt=0, description="where half of voiced speech is noise, before any training, Hz"),
    ] = 6000.0

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.f0_floor_hz >= self.f0_ceil_hz:
            raise ValueError(
                f"f0_floor_hz={self.f0_floor_hz} must be below f0_ceil_hz={self.f0_ceil_hz}"
            )
        return self


class Istft(Vocoder):
    """Speak a log-mel fast: hear its pitch, then shape pulses and noise by a network.

    One small network hears F0 and voicing in the log-mel. They make three excitations: a pulse
    train with all harmonics below half the rate, noise that swells around the pulses, and steady
    noise. A second network of ConvNeXt blocks gives each of them a filter in every frame: its
    magnitudes, as corrections of the log-mel's own, with the least phase that they can have, and
    for the pulses a phase besides. What is filtered is joined by an inverse STFT. Nothing in it
    works at the sampling rate but the excitation, which has no weights.

    The last layers begin at zero: untrained it is a pulse-and-noise vocoder whose pitch is not yet
    true, so that training starts from near intelligible speech. F0 is learned from WORLD's
    (`own_losses`), not through the wave. The noise is always the same, but for training, which
    draws where it begins. Gradients reach the log-mel through the filters, not through F0.

    Shape: log-mel of `mel` (batch, bands, frames) -> wave (batch, frames * hop_samples), full scale
    1. Any number of frames from 1.
    Source: the head after iSTFTNet (Kaneko et al., 2022) and Vocos (Siuzdak, 2023), the excitation
    with F0 heard in the mel after HiFTNet (Li et al., 2023); here the excitation is filtered, as in
    DDSP (Engel et al., 2020), not fed to a network.
    Raises `ComponentError` for features other than a log-mel, or of other channels, and for a
    highest F0 that nothing can be learned of at their rate.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> features = MelSpectrogram(MelConfig())
    >>> Istft(IstftConfig(preset="tiny"), features)(torch.zeros(2, 80, 3)).shape
    torch.Size([2, 768])
    """

    Config = IstftConfig
    config: IstftConfig
    rounding: ClassVar[float] = 1e-3  # what F0 is rounded by adds up in the phase of the pulses
    spread: Tensor
    flat: Tensor
    share: Tensor
    octaves: Tensor
    hertz: Tensor

    def __init__(self, config: IstftConfig, features: Features) -> None:
        super().__init__(config, features)
        mel = mel_of(features)
        if config.f0_ceil_hz > highest_f0_hz(self.sample_rate):
            raise ComponentError(
                f"f0_ceil_hz={config.f0_ceil_hz} is above {highest_f0_hz(self.sample_rate):.1f} Hz,"
                f" the highest that WORLD hears at {self.sample_rate} Hz; lower it"
            )
        bins = response_size(self.hop_samples) // 2 + 1
        spread = functional.interpolate(
            band_interpolation(mel).T[None], size=bins, mode="linear", align_corners=True
        )[0].T
        # of white noise of power 1, whose STFT magnitudes are Rayleigh's
        magnitude = (hann_window(mel.config.size).square().sum() * math.pi / 4).sqrt()
        flat = (mel.filterbank.sum(dim=1).cpu() * magnitude).clamp(min=1e-9).log()
        hertz = torch.linspace(0, self.sample_rate / 2, bins)
        lowest, highest = math.log2(config.f0_floor_hz), math.log2(config.f0_ceil_hz)
        octaves = torch.linspace(lowest, highest, config.pitches, dtype=torch.float64)
        self.octave_step = (highest - lowest) / (config.pitches - 1)
        tables = {
            "spread": spread,
            "flat": flat[:, None],
            "share": noise_share(hertz, config.noise_corner_hz)[:, None],
            "octaves": octaves[:, None],
            "hertz": octaves.exp2(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)
        self.hearing = Trunk(
            self.channels,
            config.pitch_width,
            2 * config.pitch_width,
            config.pitch_blocks,
            1 + config.pitches,
        )
        self.shaping = Trunk(self.channels + 2, config.width, config.inner, config.blocks, 4 * bins)
        for trunk in (self.hearing, self.shaping):
            for parameter in trunk.last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave that the log-mel describes."""
        del source
        excitations, log_levels, turn = self.told(features)
        with torch.autocast(features.device.type, enabled=False):
            phases = turned(minimum_phase(log_levels), turn)
            filters = torch.polar(log_levels.exp(), phases).permute(1, 0, 3, 2)
            return filter_frames(excitations, filters, self.hop_samples).to(features.dtype)

    def told(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is to be filtered, and by what.

        Shape: features -> excitations (3, batch, (frames + 2) * hop_samples), natural log of the
        filters' magnitudes (batch, 3, bins, frames + 1), what is added to the phases of the first
        (batch, bins, frames + 1).
        """
        self.check(features)
        levels = (features - LOG_LEVEL) / LOG_SPREAD
        with torch.no_grad():
            f0_hz, voiced = self.pitch_of(features)
        pitch = torch.stack([(f0_hz / CENTRE_HZ).log2(), voiced], dim=1).to(levels)
        corrections: Tensor = self.shaping(torch.cat([levels, pitch], dim=1))
        with torch.autocast(features.device.type, enabled=False):
            log_levels, turn = self._filters(features.float(), voiced, corrections.float())
            return self._excitations(f0_hz, voiced), log_levels, turn

    def portable(self) -> nn.Module:
        """The same by operations that other programs have: no complex numbers, no FFT."""
        return PortableIstft(self)

    def pitch_of(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """F0, Hz, and voicing, 0 to 1, as heard in the log-mel: (batch, frames) each."""
        with exactly(features.device):  # the phase of the pulses sums up what F0 is rounded by
            levels = (features.to(self.octaves) - LOG_LEVEL) / LOG_SPREAD
            heard: Tensor = self.hearing(levels).float()
        likely = torch.softmax(heard[:, 1:], dim=1)
        places = torch.arange(self.config.pitches, device=heard.device)[None, :, None]
        likeliest = likely.argmax(dim=1)
        away = places - likeliest[:, None]
        weights = likely * (away.abs() <= AROUND_PITCHES)
        # from the likeliest on: of octaves themselves the rounding would add up to another phase
        octaves = (weights * away).sum(dim=1) / weights.sum(dim=1) * self.octave_step
        return self.hertz[likeliest] * octaves.exp2(), torch.sigmoid(heard[:, 0])

    def own_losses(self, features: Tensor, wave: Tensor) -> Mapping[str, Tensor]:
        """How well F0 and voicing are heard in the log-mel, by WORLD's (DIO) from the wave.

        ``pitch`` is the cross-entropy to the true F0, a little blurred, where the voice sounds;
        ``voicing`` the binary one.
        """
        range_hz = (self.config.f0_floor_hz, self.config.f0_ceil_hz)
        tracks = [
            f0_track(row, self.sample_rate, self.hop_samples, "dio", range_hz, DIO_DECIMATION)
            for row in wave.detach().cpu().double().numpy()
        ]
        f0_hz = torch.stack([torch.from_numpy(track) for track in tracks]).to(
            features.device, torch.float32
        )
        voiced = (f0_hz > 0).float()
        heard: Tensor = self.hearing((features - LOG_LEVEL) / LOG_SPREAD).float()
        step = self.octaves[1] - self.octaves[0]
        away = (f0_hz.clamp(min=range_hz[0]).log2()[:, None] - self.octaves) / step
        wanted = torch.softmax(-away.square() / (2 * BLUR_PITCHES**2), dim=1)
        missed = -(wanted * torch.log_softmax(heard[:, 1:], dim=1)).sum(dim=1)
        return {
            "pitch": (missed * voiced).sum() / voiced.sum().clamp(min=1),
            "voicing": functional.binary_cross_entropy_with_logits(heard[:, 0], voiced),
        }

    def _excitations(self, f0_hz: Tensor, voiced: Tensor) -> Tensor:
        """Pulses, noise that swells with them, and steady noise, from a hop before the sound on."""
        # the sound lasts a hop beyond the last frame, which would fade out otherwise
        around = functional.pad(torch.stack([f0_hz, voiced], dim=1), (1, 2), mode="replicate")
        pitch_hz = at_samples(around[:, 0], self.hop_samples)
        starts = onsets(around[:, 1])
        grid = grid_of(self.hop_samples)
        phase = cycles(pitch_hz, self.sample_rate, starts, grid // 2 // self.hop_samples)
        voice = pulses(pitch_hz, self.sample_rate, phase)
        start = int(torch.randint(grid, ())) if self.training else 0
        noise = steady_noise(voice.shape[-1], voice, grid, start)
        other = steady_noise(voice.shape[-1], voice, grid, start + grid // 2)
        return torch.stack([voice, other * swelling(phase), noise.expand_as(voice)])

    def _filters(
        self, log_mel: Tensor, voiced: Tensor, corrections: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The magnitudes for each excitation, each frame and one more, and the pulses' phase."""
        log_mel, corrections, voiced = (
            functional.pad(part, (0, 1), mode="replicate")
            for part in (log_mel, corrections, voiced[:, None])
        )
        levels = torch.matmul(self.spread, log_mel - self.flat)
        of_pulses = voiced * (1 - self.share)
        of_noise = 1 - of_pulses
        shares = [of_pulses, SWELLING_POWER * of_noise, (1 - SWELLING_POWER) * of_noise]
        powers = torch.stack(shares, dim=1)
        *corrected, turn = corrections.chunk(4, dim=1)
        log_levels = levels[:, None] + torch.stack(corrected, dim=1)
        log_levels = log_levels + 0.5 * powers.clamp(min=LEAST_POWER).log()
        return log_levels.clamp(LOG_SOFTEST, LOG_LOUDEST), turn

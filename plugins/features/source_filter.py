"""SourceFilter, the variant of the paper that describes speech by F0 and mel-cepstrum."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.errors import AudioError
from selfremaster.core.interfaces import Features
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.features.mel_cepstrum import (
    alpha_of,
    analysis_matrix,
    synthesis_matrix,
)
from selfremaster.plugins.features.mel_to_cepstrum import mel_to_cepstrum
from selfremaster.plugins.features.world import (
    Extractor,
    f0_track,
    log_envelopes,
    lowest_f0_hz,
    package,
)

CENTRE_HZ = 150.0  # between the voices of men and women; what unvoiced waves are given


class SourceFilterConfig(MelConfig):
    """Settings of `SourceFilter`, with those of the log-mel that the analysis module reads."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "published": {
            "pitch": "linear",
            "f0": "dio",
            "dio_decimation": 1,
            "envelope_f0": "dio",
            "envelope_floor": 1e-10,
        },
    }
    preset: Annotated[
        Literal["default", "published"], Field(description="named group of settings")
    ] = "default"
    order: Annotated[
        int, Field(ge=1, le=200, description="highest mel-cepstral coefficient, after the 0th")
    ] = 40
    f0: Annotated[
        Extractor,
        Field(
            description="what finds F0: dio (fast), harvest (ten times slower; finds the voice "
            "where the low frequencies are gone, as on telephone lines) or swipe (by pysptk, whose "
            "numbers differ from run to run)"
        ),
    ] = "dio"
    f0_floor_hz: Annotated[float, Field(ge=20, description="lowest F0 looked for, Hz")] = 71.0
    f0_ceil_hz: Annotated[float, Field(gt=0, description="highest F0 looked for, Hz")] = 800.0
    dio_decimation: Annotated[
        int,
        Field(
            ge=1,
            le=12,
            description="DIO looks at every so many samples, where the rate allows it; 3 is three "
            "times as fast as 1, which is published, and no further from Harvest",
        ),
    ] = 3
    pitch: Annotated[
        Literal["log", "linear"],
        Field(
            description="source rows: log is octaves from 150 Hz, held through unvoiced frames, "
            "and voicing; linear is F0 in Hz, 0 where unvoiced"
        ),
    ] = "log"
    envelope_f0: Annotated[
        Literal["same", "dio"],
        Field(description="F0 by which the envelope is taken: that of the setting f0, or DIO's"),
    ] = "same"
    envelope_floor: Annotated[
        float, Field(gt=0, lt=1, description="smallest magnitude of the envelope, before the log")
    ] = 1e-5

    @model_validator(mode="after")
    def _check_f0(self) -> "SourceFilterConfig":
        if not self.f0_floor_hz < self.f0_ceil_hz <= self.sample_rate / 2:
            raise ValueError(
                f"f0_floor_hz={self.f0_floor_hz} and f0_ceil_hz={self.f0_ceil_hz} must rise and "
                f"lie within half the rate ({self.sample_rate / 2} Hz)"
            )
        if self.size & (self.size - 1):
            raise ValueError(f"size={self.size} is no power of 2, which WORLD's envelope needs")
        lowest = lowest_f0_hz(self.sample_rate, self.size)
        if self.f0_floor_hz < lowest:
            raise ValueError(
                f"f0_floor_hz={self.f0_floor_hz} is below {lowest:.1f} Hz, the lowest that an FFT "
                f"of size={self.size} resolves at {self.sample_rate} Hz; raise one of them"
            )
        return self


class SourceFilter(Features):
    """Describe a voice as a source and a filter: its pitch, and how mouth and nose colour it.

    The source rows are F0, taken from the degraded wave itself: two of them by default, octaves
    from 150 Hz (held and interpolated where the voice does not sound) and voicing, 0 or 1. The
    target rows are the mel-cepstrum of WORLD's spectral envelope, in log magnitudes, not below
    log(envelope_floor). The analysis module reads the log-mel of `MelSpectrogram`. Nothing is
    changed about the level.

    WORLD computes a wave at a time in float64 on the processor, so rows have no gradient; they come
    back on the wave's device, in float64 for float64 and else in float32. The preset ``published``
    has one source row, F0 in Hz. With ``f0="swipe"`` the numbers differ a little from run to run,
    now and then by a voicing decision: pysptk's program reads memory that it never set.

    Shape: wave (batch, samples) -> (batch, source rows + order + 1, 1 + samples // hop_samples).
    Source: SelfRemaster (Interspeech 2022), section 3.1.
    Raises `ComponentError` where pyworld, or pysptk for ``f0="swipe"``, is missing; `AudioError`
    for samples that are not finite.

    A sawtooth of 150 Hz:

    >>> features = SourceFilter(SourceFilterConfig())
    >>> wave = (torch.arange(22050) * 150 / 22050)[None] % 1 - 0.5
    >>> f0_hz, voiced = features.pitch_of(features(wave))
    >>> f0_hz[0, 40:43].round().tolist(), voiced[0, 40:43].tolist()
    ([150.0, 150.0, 150.0], [1.0, 1.0, 1.0])
    """

    Config = SourceFilterConfig
    config: SourceFilterConfig
    cached: ClassVar[bool] = True
    rough_matrix: Tensor
    rough_offset: Tensor

    def __init__(self, config: SourceFilterConfig) -> None:
        super().__init__(config)
        package("pyworld")
        if config.f0 == "swipe":
            package("pysptk")
        self.mel = MelSpectrogram(
            MelConfig(**{name: getattr(config, name) for name in MelConfig.model_fields})
        )
        self.sample_rate, self.hop_samples = config.sample_rate, config.hop_samples
        self.mel_bands, self.predicted_channels = config.bands, config.order + 1
        self.channels = self.predicted_channels + (2 if config.pitch == "log" else 1)
        self.alpha = alpha_of(config.sample_rate)
        matrix, offset = mel_to_cepstrum(
            self.mel.filterbank,
            self.mel.window,
            synthesis_matrix(config.size, config.order, self.alpha),
            config.sample_rate,
        )
        self.register_buffer("rough_matrix", matrix.float(), persistent=False)
        self.register_buffer("rough_offset", offset.float()[:, None], persistent=False)

    @property
    def silence(self) -> float:
        """log(floor) of the log-mel."""
        return self.mel.silence

    def log_mel(self, wave: Tensor) -> Tensor:
        """The log-mel spectrogram, (batch, samples) -> (batch, bands, frames)."""
        return self.mel.log_mel(wave)

    def forward(self, wave: Tensor) -> Tensor:
        """Source and target rows, F0 computed once, (batch, channels, frames)."""
        return self._each(wave, self._both_rows, self.channels)

    def source(self, wave: Tensor) -> Tensor:
        """The pitch of a wave, (batch, samples) -> (batch, source_channels, frames)."""
        return self._each(
            wave, lambda item: self._source_rows(self._f0(item)), self.source_channels
        )

    def target(self, wave: Tensor) -> Tensor:
        """The mel-cepstrum of a wave, (batch, samples) -> (batch, order + 1, frames)."""
        return self._each(wave, self._target_rows, self.predicted_channels)

    def rough(self, log_mel: Tensor) -> Tensor:
        """The mel-cepstrum of the smoothest envelope behind a log-mel, by one fixed matrix.

        Shape: (batch, bands, frames) -> (batch, order + 1, frames).
        """
        matrix, offset = (part.to(log_mel.dtype) for part in (self.rough_matrix, self.rough_offset))
        with torch.autocast(log_mel.device.type, enabled=False):
            return matrix @ log_mel + offset

    def at_gain(self, target: Tensor, gain: Tensor) -> Tensor:
        """The mel-cepstrum of the wave times a gain: its first row rises by the gain's logarithm.

        Silence stays silence, and no frame falls below it. Where only a part of the envelope lies
        at ``envelope_floor``, that part is moved with the rest.

        Shape: (batch, order + 1, frames), (batch,) -> (batch, order + 1, frames).
        """
        level, shape = target[:, :1], target[:, 1:]
        silent = math.log(self.config.envelope_floor)
        raised = (level + gain.to(target.dtype).log()[:, None, None]).clamp(min=silent)
        # a level is a mean over the envelope: at the floor, all of it is
        return torch.cat([torch.where(level > silent + 1e-3, raised, level), shape], dim=1)

    def pitch_of(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """F0, through unvoiced frames too, and voicing, 0 to 1, of speech features or source rows.

        Where unvoiced, F0 is the row's own, or for ``pitch="linear"`` the last one heard.

        Shape: (batch, source rows or more, frames) -> (batch, frames) in Hz, (batch, frames).
        """
        if self.config.pitch == "log":
            return CENTRE_HZ * torch.exp2(source[:, 0]), source[:, 1].clamp(0, 1)
        f0, voiced = source[:, 0], source[:, 0] > 0
        frames = torch.arange(f0.shape[-1], device=f0.device)
        last = torch.where(voiced, frames, -1).cummax(dim=-1).values
        first = voiced.int().argmax(dim=-1, keepdim=True)
        held = f0.gather(-1, torch.where(last < 0, first, last))
        return torch.where(held > 0, held, CENTRE_HZ), voiced.to(f0.dtype)

    def log_envelope(self, features: Tensor) -> Tensor:
        """The spectral envelope of speech features or of target rows, as log magnitudes.

        Shape: (batch, channels or order + 1, frames) -> (batch, size // 2 + 1, frames).
        """
        cepstrum = features[:, -self.predicted_channels :]
        matrix = synthesis_matrix(self.config.size, self.config.order, self.alpha)
        with torch.autocast(features.device.type, enabled=False):
            return matrix.to(cepstrum) @ cepstrum

    def _each(
        self, wave: Tensor, describe: Callable[[np.ndarray], np.ndarray], channels: int
    ) -> Tensor:
        """Describe wave by wave on the processor, (batch, samples) -> (batch, channels, frames)."""
        if not torch.isfinite(wave).all():
            raise AudioError("a wave with samples that are not finite numbers; repair it first")
        dtype = torch.float64 if wave.dtype == torch.float64 else torch.float32
        rows = torch.empty(len(wave), channels, self.frames(wave.shape[-1]), dtype=dtype)
        for row, item in zip(rows, wave.detach().cpu().double().contiguous().numpy(), strict=True):
            row.copy_(torch.from_numpy(describe(item)))
        return rows.to(wave.device)

    def _f0(self, wave: np.ndarray, extractor: Extractor | None = None) -> np.ndarray:
        """F0 at every hop, (samples,) -> (frames,), Hz."""
        return f0_track(
            wave,
            self.sample_rate,
            self.hop_samples,
            extractor or self.config.f0,
            (self.config.f0_floor_hz, self.config.f0_ceil_hz),
            self.config.dio_decimation,
        )

    def _both_rows(self, wave: np.ndarray) -> np.ndarray:
        f0 = self._f0(wave)
        return np.concatenate([self._source_rows(f0), self._target_rows(wave, f0)])

    def _source_rows(self, f0: np.ndarray) -> np.ndarray:
        if self.config.pitch == "linear":
            return f0[None]
        voiced = f0 > 0
        octaves = np.zeros(len(f0))
        if voiced.any():
            frames = np.arange(len(f0))
            octaves = np.interp(frames, frames[voiced], np.log2(f0[voiced] / CENTRE_HZ))
        return np.stack([octaves, voiced])

    def _target_rows(self, wave: np.ndarray, f0: np.ndarray | None = None) -> np.ndarray:
        extractor = self.config.f0 if self.config.envelope_f0 == "same" else "dio"
        if f0 is None or extractor != self.config.f0:
            f0 = self._f0(wave, extractor)
        size, order, floor = self.config.size, self.config.order, self.config.envelope_floor
        matrix = analysis_matrix(size, order, self.alpha).numpy()
        envelopes = log_envelopes(wave, f0, self.sample_rate, self.hop_samples, size)
        rows = [matrix @ np.maximum(envelope, math.log(floor)).T for envelope in envelopes]
        return np.concatenate(rows, axis=1)

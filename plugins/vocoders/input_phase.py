"""A vocoder that speaks with the recording's own voice: it corrects the source's spectrum."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.signals import fit_length, istft, stft
from selfremaster.plugins.vocoders.mel_bands import band_interpolation, mel_of


class InputPhaseConfig(ComponentConfig):
    """Settings of `InputPhase`."""

    max_gain_db: Annotated[
        float, Field(ge=0, le=200, description="most that a bin is raised or lowered, dB")
    ] = 60.0
    refinements: Annotated[
        int, Field(ge=0, le=16, description="how often the gain is corrected by what it missed")
    ] = 1


class InputPhase(Vocoder):
    """Raise or lower the bands of the degraded wave until they are as loud as the features say.

    The log gain between the given log-mel spectrogram and the source's own is spread over the STFT
    bins (straight lines between band centres, held beyond the outermost) and multiplied onto the
    source's STFT; its phase stays. A source of another length than the features is cut, or padded
    with silence. The source's own features give the source back.

    Shape: log-mel (batch, bands, frames), source (batch, samples) -> wave
    (batch, frames * hop_samples), full scale 1.
    Raises `ComponentError` without a source, and for features other than a mel spectrogram.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> mel = MelSpectrogram(MelConfig())
    >>> source = torch.sin(torch.arange(2048) * 0.1)[None]
    >>> louder = mel(2 * source)
    >>> wave = InputPhase(InputPhaseConfig(), mel)(louder, source)
    >>> bool(torch.allclose(wave[:, :2048], 2 * source, atol=0.01))
    True
    """

    Config = InputPhaseConfig
    config: InputPhaseConfig
    needs_source: ClassVar[bool] = True
    spread: Tensor

    def __init__(self, config: InputPhaseConfig, features: Features) -> None:
        super().__init__(config, features)
        self.mel = mel_of(features)
        self.register_buffer("spread", band_interpolation(self.mel), persistent=False)

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The source with the loudness of the features."""
        source = self._fitting(features, source)
        limit = self.config.max_gain_db * math.log(10) / 20
        with torch.autocast(features.device.type, enabled=False):
            wanted = features.float()
            spectrum = stft(source.float(), self.mel.config.size, self.hop_samples)
            magnitude = spectrum.abs()
            gain = torch.zeros_like(wanted)
            for _ in range(1 + self.config.refinements):
                reached = self._log_mel(magnitude * torch.matmul(self.spread, gain).exp())
                gain = (gain + wanted - reached).clamp(-limit, limit)
            corrected = spectrum * torch.matmul(self.spread, gain).exp()
            return istft(corrected, self.hop_samples).to(features.dtype)

    def _fitting(self, features: Tensor, source: Tensor | None) -> Tensor:
        """The source with as many frames as the features; raises `ComponentError`."""
        if source is None:
            raise ComponentError(
                "input-phase corrects the degraded wave itself and was given none; pass it as "
                "source, or use a vocoder that needs none, such as hifigan"
            )
        self.check(features)
        if source.ndim != 2 or source.shape[0] != features.shape[0]:
            raise ComponentError(
                f"a source of shape {tuple(source.shape)} for features of "
                f"{features.shape[0]} items; give one wave each, (batch, samples)"
            )
        frames = features.shape[-1]
        if self.mel.frames(source.shape[-1]) == frames:
            return source
        return fit_length(source, frames * self.hop_samples - 1)

    def _log_mel(self, magnitude: Tensor) -> Tensor:
        mel = torch.matmul(self.mel.filterbank, magnitude)
        return mel.clamp(min=self.mel.config.floor).log()

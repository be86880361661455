"""A vocoder that speaks with the recording's own voice: it corrects the source's spectrum."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.signals import istft
from selfremaster.plugins.vocoders.mel_gains import MelGains, check_wave


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

    def __init__(self, config: InputPhaseConfig, features: Features) -> None:
        super().__init__(config, features)
        self.gains = MelGains(features)
        self.mel = self.gains.mel

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The source with the loudness of the features."""
        if source is None:
            raise ComponentError(
                "input-phase corrects the degraded wave itself and was given none; pass it as "
                "source, or use a vocoder that needs none, such as hifigan"
            )
        self.check(features)
        check_wave(source, features, "source")
        settings = self.config
        with torch.autocast(features.device.type, enabled=False):
            spectrum = self.gains.spectrum(source, features.shape[-1])
            corrected = self.gains.corrected(
                spectrum, features.float(), settings.max_gain_db, settings.refinements
            )
            return istft(corrected, self.hop_samples).to(features.dtype)

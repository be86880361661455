"""Equalisation to the mean spectrum of clean speech: what a filter alone can restore."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.equalising import lowest_rate, make_level, measure_files
from selfremaster.core.errors import ComponentError
from selfremaster.core.folders import find_audio
from selfremaster.core.interfaces import Restorer
from selfremaster.core.jobs import Failure
from selfremaster.core.metering import match_level
from selfremaster.core.profile_files import JSON, TENSORS
from selfremaster.core.profiles import SpectralProfile
from selfremaster.core.spectra import (
    Spectrum,
    apply_gain,
    average_speech,
    gain_between,
    mean_levels,
)


class MeanSpectrumConfig(ComponentConfig):
    """Settings of `MeanSpectrum`."""

    clean: Annotated[
        str | None,
        Field(
            description="clean speech, a file or folder, or a spectral profile of it; none: the "
            "long-term average speech spectrum of Byrne et al. (1994)"
        ),
    ] = None
    size: Annotated[
        int, Field(ge=64, le=16384, multiple_of=2, description="FFT and window, samples")
    ] = 1024
    octaves: Annotated[
        float, Field(gt=0, le=4, description="width that the filter is smoothed over")
    ] = 1 / 3
    limit_db: Annotated[
        float, Field(gt=0, le=40, description="largest gain up and down, dB; lost bands hold noise")
    ] = 20.0


class MeanSpectrum(Restorer):
    """Filter the recording so that its mean spectrum is that of clean speech, at its own level.

    The filter is the difference of the mean spectra, in dB, of the loud frames, smoothed, without
    delay; above half the rate of the clean speech its last value goes on. With clean speech the
    mean is one of dB, in the default one of power, as in its source. Silence stays silence.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: the transfer baseline of SelfRemaster (Interspeech 2022), the other way round.
    Raises `ComponentError` for a profile that is a gain; `AudioError` and `BundleError` for files
    that cannot be read.

    >>> import torch
    >>> MeanSpectrum(MeanSpectrumConfig()).restore(torch.zeros(1, 3), 8000).tolist()
    [[0.0, 0.0, 0.0]]
    """

    Config = MeanSpectrumConfig
    config: MeanSpectrumConfig

    def __init__(self, config: MeanSpectrumConfig) -> None:
        super().__init__(config)
        self.clean = None if config.clean is None else _measure(Path(config.clean), config.size)

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The filtered wave."""
        del reference
        given = wave.detach().float()
        if not (given.abs() > 0).any():
            return given.clone()
        filtered = apply_gain(given, sample_rate, self._gain(given, sample_rate))
        return match_level(filtered, given, sample_rate)

    def _gain(self, wave: Tensor, sample_rate: int) -> Spectrum:
        """What makes clean speech of the recording's mean spectrum."""
        settings = self.config
        if self.clean is None:
            own = mean_levels([(wave, sample_rate)], sample_rate, settings.size, "power")
            wanted = average_speech(sample_rate, settings.size)
        else:
            wanted = self.clean
            own = mean_levels([(wave, sample_rate)], wanted.sample_rate, wanted.size)
        return gain_between(wanted, own, settings.octaves, settings.limit_db, None)


def _measure(path: Path, size: int) -> Spectrum:
    """The mean spectrum of clean speech; raises for what cannot be read."""
    if path.suffix.lower() in (JSON, TENSORS):
        profile = SpectralProfile.load(path)
        if profile.quantity != "level":
            raise ComponentError(f"{path}: is a gain; give the level of clean speech")
        return profile.spectrum
    files = [file for file, _ in find_audio(path)]
    sample_rate = lowest_rate(files)
    measured = []
    for item in measure_files(files, sample_rate, size):
        if isinstance(item, Failure):
            raise item.error
        measured.append(item)
    return make_level(measured, sample_rate, path.name).spectrum

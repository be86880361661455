"""A vocoder that speaks in part: the recording where it can be trusted, a filling elsewhere."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.signals import hann_window, istft
from selfremaster.plugins.vocoders.mel_gains import DB, MelGains, check_wave

LOUD_SHARE = 0.2  # of all bands and frames: where the speech is certainly heard


class BlendConfig(ComponentConfig):
    """Settings of `Blend`: a band of a frame is trusted as far as little must be changed of it."""

    rise_db: Annotated[
        float, Field(ge=0, le=200, description="most that a trusted band is raised, dB")
    ] = 40.0
    noise_rise_db: Annotated[
        float,
        Field(ge=0, le=200, description="most where the band is no louder than its noise, dB"),
    ] = 20.0
    noise_margin_db: Annotated[
        float,
        Field(gt=0, le=200, description="how far above its noise a band is as good as free of it"),
    ] = 15.0
    noise_share: Annotated[
        float,
        Field(gt=0, lt=1, description="part of the frames, the quietest, that are taken for noise"),
    ] = 0.05
    fall_db: Annotated[
        float, Field(ge=0, le=200, description="most that a trusted band is lowered, dB")
    ] = 12.0
    fade_db: Annotated[
        float, Field(gt=0, le=100, description="beyond these limits trust is lost within, dB")
    ] = 12.0
    fade_seconds: Annotated[
        float, Field(ge=0, le=1, description="how long a crossover between the two takes, s")
    ] = 0.06
    fade_bands: Annotated[
        int, Field(ge=0, le=256, description="how wide a crossover between the two is, bands")
    ] = 4
    filling_gain_db: Annotated[
        float, Field(ge=0, le=200, description="most that a bin of the filling is changed, dB")
    ] = 12.0
    seam_gain_db: Annotated[
        float, Field(ge=0, le=200, description="most that a bin is changed after the two meet, dB")
    ] = 6.0
    refinements: Annotated[
        int, Field(ge=0, le=16, description="how often the gains are corrected by what they missed")
    ] = 1


class Blend(Vocoder):
    """Keep the recording where it can be trusted, and fill in what is lost, by another vocoder.

    The features say how loud each band of each frame should be, apart from what they have in
    common in the loudest speech. Where the recording must be raised by much, it has nothing there,
    or its own noise; where it must be lowered by much, it is mostly noise and distortion. Both are
    taken from the filling, the wave that the model's own vocoder speaks from the same features; all
    else is the recording, with its phase. Either is brought to the loudness of the features first,
    as `input-phase` does. Between them is a crossover in time and frequency with weights of equal
    power, whose level the features correct once more. The noise of a band is how loud its quietest
    frames are.

    A source or filling of another length than the features is cut, or padded with silence. The
    source's own features give the source back, whatever the filling.

    Shape: log-mel (batch, bands, frames), source and filling (batch, samples) -> wave
    (batch, frames * hop_samples), full scale 1.
    Raises `ComponentError` without a source or a filling, and for features other than a mel
    spectrogram.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> mel = MelSpectrogram(MelConfig())
    >>> source = torch.sin(torch.arange(2048) * 0.1)[None]
    >>> wave = Blend(BlendConfig(), mel)(mel(source), source, torch.zeros(1, 2048))
    >>> bool(torch.allclose(wave[:, :2048], source, atol=1e-3))
    True
    """

    Config = BlendConfig
    config: BlendConfig
    needs_source: ClassVar[bool] = True
    needs_filling: ClassVar[bool] = True

    def __init__(self, config: BlendConfig, features: Features) -> None:
        super().__init__(config, features)
        self.gains = MelGains(features)

    def forward(
        self, features: Tensor, source: Tensor | None = None, filling: Tensor | None = None
    ) -> Tensor:
        """The source where it can be trusted, the filling elsewhere."""
        if source is None or filling is None:
            missing = "source" if source is None else "filling"
            raise ComponentError(
                f"blend joins the degraded wave and what the model's own vocoder speaks, and was "
                f"given no {missing}; use it as the output of a model, or a vocoder that speaks "
                "alone, such as hifigan"
            )
        self.check(features)
        check_wave(source, features, "source")
        check_wave(filling, features, "filling")
        settings, frames = self.config, features.shape[-1]
        with torch.autocast(features.device.type, enabled=False):
            wanted = features.float()
            kept = self.gains.spectrum(source, frames)
            filled = self.gains.spectrum(filling, frames)
            share = self.gains.over_bins(self.trust(wanted, kept)).clamp(0, 1)
            most_db = settings.rise_db + settings.fall_db + settings.fade_db
            kept = self.gains.corrected(kept, wanted, most_db, settings.refinements)
            filled = self.gains.corrected(
                filled, wanted, settings.filling_gain_db, settings.refinements
            )
            both = share.sqrt() * kept + (1 - share).sqrt() * filled
            both = self.gains.corrected(both, wanted, settings.seam_gain_db, settings.refinements)
            return istft(both, self.hop_samples).to(features.dtype)

    @torch.no_grad()
    def trust(self, wanted: Tensor, spectrum: Tensor) -> Tensor:
        """How far each band of each frame of a spectrum can be trusted, 0 to 1.

        Shape: log-mel (batch, bands, frames), STFT (batch, bins, frames) -> as the log-mel.
        """
        settings = self.config
        own = self.gains.log_mel(spectrum.abs())
        change = wanted - own
        change_db = DB * (change - _overall(change, wanted))
        above_db = DB * (own - _ranked(own, settings.noise_share))
        clean = _smooth_step(above_db / settings.noise_margin_db)
        rise_db = settings.noise_rise_db + clean * (settings.rise_db - settings.noise_rise_db)
        lost = _smooth_step((change_db - rise_db) / settings.fade_db)
        drowned = _smooth_step((-change_db - settings.fall_db) / settings.fade_db)
        reach = round(settings.fade_seconds * self.sample_rate / self.hop_samples / 2)
        trust = _blurred(1 - torch.maximum(lost, drowned), reach)
        return _blurred(trust.mT, settings.fade_bands // 2).mT


def _overall(change: Tensor, wanted: Tensor) -> Tensor:
    """The change that the loudest speech has in common, which is of level alone, (batch, 1, 1)."""
    flat, loudness = change.flatten(1), wanted.flatten(1)
    loud = loudness >= _ranked(loudness, 1 - LOUD_SHARE)
    found = torch.where(loud, flat, torch.nan).nanmedian(dim=-1).values
    return found[:, None, None]


def _ranked(values: Tensor, share: float) -> Tensor:
    """The value that this share of all is not above, along the last axis, which is kept."""
    place = 1 + round(share * (values.shape[-1] - 1))
    return values.kthvalue(place, dim=-1, keepdim=True).values


def _smooth_step(place: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, without a corner."""
    place = place.clamp(0, 1)
    return place.square() * (3 - 2 * place)


def _blurred(values: Tensor, reach: int) -> Tensor:
    """The mean of the neighbours along the last axis, so many on both sides, by a Hann window."""
    window = hann_window(2 * reach + 2, values.device)[1:]
    kernel = (window / window.sum())[None, None]
    flat = values.reshape(-1, 1, values.shape[-1])
    padded = functional.pad(flat, (reach, reach), mode="replicate")
    return functional.conv1d(padded, kernel).reshape(values.shape)

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

LOUD_SHARE = 0.2  # of the bands of a frame: where speech is certainly heard
LOUD_DB = 20  # below the loudest frame around: frames that certainly speak
NOISE_SECONDS = 0.1  # over which levels are smoothed before the softest is taken for noise


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
    around_seconds: Annotated[
        float,
        Field(gt=0, le=60, description="how far around a frame its noise and level are heard, s"),
    ] = 2.0
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
    power, whose level the features correct once more.

    The noise of a band is how soft it becomes within two seconds before and after (minimum
    statistics, Martin 2001), and what the features have in common with the recording is heard as
    far around: noise and level may change, and a long recording comes out alike in pieces.

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
        frames_a_second = self.sample_rate / self.hop_samples
        around = max(round(settings.around_seconds * frames_a_second), 1)
        change_db = DB * (change - _overall(change, wanted, around))
        noise = -_greatest(-_blurred(own, round(NOISE_SECONDS * frames_a_second / 2)), around)
        above_db = DB * (own - noise)
        clean = _smooth_step(above_db / settings.noise_margin_db)
        rise_db = settings.noise_rise_db + clean * (settings.rise_db - settings.noise_rise_db)
        lost = _smooth_step((change_db - rise_db) / settings.fade_db)
        drowned = _smooth_step((-change_db - settings.fall_db) / settings.fade_db)
        reach = round(settings.fade_seconds * frames_a_second / 2)
        trust = _blurred(1 - torch.maximum(lost, drowned), reach)
        return _blurred(trust.mT, settings.fade_bands // 2).mT


def _overall(change: Tensor, wanted: Tensor, around: int) -> Tensor:
    """The change that the loudest speech around has in common, which is of level alone.

    Shape: (batch, bands, frames) -> (batch, 1, frames).
    """
    count = max(round(LOUD_SHARE * wanted.shape[1]), 1)
    loudest, bands = wanted.topk(count, dim=1)
    common = change.gather(1, bands).median(dim=1, keepdim=True).values
    loudness = loudest[:, :1]
    speaks = loudness >= _greatest(loudness, around) - LOUD_DB / DB
    common = torch.where(speaks, common, torch.nan)
    heard = functional.pad(common, (around, around), value=torch.nan)
    return heard.unfold(-1, 2 * around + 1, 1).nanmedian(dim=-1).values


def _greatest(values: Tensor, around: int) -> Tensor:
    """The greatest value so far around, along the last axis."""
    return functional.max_pool1d(values, 2 * around + 1, stride=1, padding=around)


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

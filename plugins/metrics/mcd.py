"""MCD, how far the colour of a voice is from the clean one."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.features.mel_cepstrum import alpha_of, analysis_matrix
from selfremaster.plugins.features.world import f0_track, log_envelopes, package
from selfremaster.plugins.metrics.alignments import warping_path
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, match_level, pair

DB_PER_UNIT = 10 * math.sqrt(2) / math.log(10)
HOP_SECONDS = 0.005
F0_RANGE_HZ = (71.0, 800.0)
SHORTEST_SECONDS = 0.1
SPEECH_DB = 40.0  # below the loudest frames: what is softer is a pause
LOUDEST = 0.95  # of the frames are softer than the loudest ones

Array = NDArray[np.float64]


class MelCepstralDistortionConfig(ComponentConfig):
    """Settings of `MelCepstralDistortion`."""

    sample_rate: Annotated[
        int, Field(ge=8000, le=48000, description="rate that both waves are brought to, Hz")
    ] = 16000
    order: Annotated[
        int, Field(ge=1, le=100, description="highest mel-cepstral coefficient, after the 0th")
    ] = 24
    alpha: Annotated[
        float | None,
        Field(ge=0, lt=1, description="warping of frequency; none: nearest to mel at the rate"),
    ] = None
    frames: Annotated[
        Literal["speech", "voiced", "all"],
        Field(
            description="speech: where the reference is at most 40 dB below its loud frames; "
            "voiced: where both have a pitch"
        ),
    ] = "speech"
    align: Annotated[
        Literal["none", "dtw"],
        Field(description="dtw: frames are paired by dynamic time warping of their cepstra first"),
    ] = "none"
    reach_seconds: Annotated[
        float, Field(ge=0.005, le=10, description="how far dtw may move a frame")
    ] = 1.0
    floor_db: Annotated[
        float,
        Field(ge=-300, lt=0, description="smallest envelope, dB from the reference's RMS level"),
    ] = -60.0

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.order > envelope_size(self.sample_rate) // 2:
            raise ValueError(f"order={self.order} is more than the envelope has bins")
        return self


class Voice(NamedTuple):
    """What is compared of a wave, frame by frame."""

    cepstra: Array  # (frames, order), without the 0th
    levels: Array  # (frames,), dB
    voiced: NDArray[np.bool_]  # (frames,)


class MelCepstralDistortion(Metric):
    """Hear how far the colour of the voice is from the clean one, in dB, whatever pitch and level.

    Mean over frames of 10 / ln 10 * the root of 2 * the sum of squared differences of the
    mel-cepstra of WORLD's spectral envelopes (every 5 ms, by DIO's F0), order 24, without the 0th
    coefficient; both envelopes not below a floor that follows the reference (60 dB below its RMS
    level). Measured where the reference speaks. With ``align=dtw`` frames are paired by time
    warping first (over all frames, on the same coefficients), and the mean is one over pairs.
    Numbers of other orders, warpings, rates and frames are not comparable. Rate: both waves are
    brought to 16000 Hz, so nothing above 8000 Hz counts. Gain: taken out first. Lag: counts; by
    ``align=dtw`` it is taken out to a frame (half a frame late, speech still is 2 to 3 dB off). A
    silent reference and less than 0.1 seconds give no number.

    Shape: waves (samples,) -> {"mcd": dB, lower is better}.
    Source: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment"
    (1993); CheapTrick (Morise, 2015) by the package pyworld; mel-cepstra by Tokuda et al. (1994).
    Raises `ComponentError` without the package, or without a reference.

    A wave and one half as loud have one colour:

    >>> from selfremaster.core.promises.inputs import speech_like
    >>> wave = speech_like(16000, sample_rate=16000)[0]
    >>> mcd = MelCepstralDistortion(MelCepstralDistortionConfig())
    >>> round(mcd.compute(wave / 2, 16000, wave)["mcd"], 3)
    0.0
    """

    Config = MelCepstralDistortionConfig
    config: MelCepstralDistortionConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"mcd": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"mcd": 0.0}
    packages: ClassVar[tuple[str, ...]] = ("pyworld",)

    def __init__(self, config: MelCepstralDistortionConfig) -> None:
        super().__init__(config)
        package("pyworld")
        lag: Literal["removed", "counts"] = "removed" if config.align == "dtw" else "counts"
        self.policy = Policy(rate_hz=config.sample_rate, gain="removed", lag=lag)
        self.size = envelope_size(config.sample_rate)
        self.hop_samples = round(HOP_SECONDS * config.sample_rate)
        alpha = alpha_of(config.sample_rate) if config.alpha is None else config.alpha
        self.matrix = analysis_matrix(self.size, config.order, alpha).numpy()[1:]

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The distortion."""
        rate = self.config.sample_rate
        waves = pair(estimate, reference)
        if len(waves[1]) < SHORTEST_SECONDS * sample_rate or not waves[1].any():
            return {"mcd": NOT_A_NUMBER}
        heard, clean = (resample(wave, sample_rate, rate).double() for wave in waves)
        heard = match_level(heard, clean)
        level_db = 20 * math.log10(float(clean.square().mean().sqrt()))
        floor = (level_db + self.config.floor_db) * math.log(10) / 20
        one, other = (self._voice(wave, floor) for wave in (heard, clean))
        first = second = np.arange(len(other.levels))
        if self.config.align == "dtw":
            reach = round(self.config.reach_seconds / HOP_SECONDS)
            first, second = warping_path(one.cepstra, other.cepstra, reach)
        chosen = self._chosen(one, other, first, second)
        if not chosen.any():
            return {"mcd": NOT_A_NUMBER}
        distances = np.linalg.norm(one.cepstra[first] - other.cepstra[second], axis=1)
        return {"mcd": DB_PER_UNIT * float(distances[chosen].mean())}

    def _voice(self, wave: Tensor, floor: float) -> Voice:
        sound = np.ascontiguousarray(wave.numpy())
        rate, hop_samples = self.config.sample_rate, self.hop_samples
        f0 = f0_track(sound, rate, hop_samples, "dio", F0_RANGE_HZ)
        cepstra, levels = [], []
        for envelope in log_envelopes(sound, f0, rate, hop_samples, self.size):
            envelope = np.maximum(envelope, floor)
            cepstra.append(envelope @ self.matrix.T)
            levels.append(10 * np.log10(np.exp(2 * envelope).mean(axis=1)))
        return Voice(np.concatenate(cepstra), np.concatenate(levels), f0 > 0)

    def _chosen(
        self, one: Voice, other: Voice, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of the pairs of frames are measured."""
        if self.config.frames == "voiced":
            return one.voiced[first] & other.voiced[second]
        if self.config.frames == "all":
            return np.ones(len(first), np.bool_)
        speech: NDArray[np.bool_] = other.levels >= np.quantile(other.levels, LOUDEST) - SPEECH_DB
        return speech[second]


def envelope_size(sample_rate: int) -> int:
    """The length of the FFT that WORLD takes for its envelope at a rate (Hz), samples.

    >>> envelope_size(16000)
    1024
    """
    return int(2 ** (1 + int(math.log2(3 * sample_rate / F0_RANGE_HZ[0] + 1))))

"""LTAS distance, how far the mean spectra of two recordings are apart."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import AudioError
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.spectra import DEFAULT_OCTAVES, DEFAULT_SIZE, ltas_distance
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair


class LongTermSpectrumConfig(ComponentConfig):
    """Settings of `LongTermSpectrum`."""

    size: Annotated[int, Field(ge=64, le=65536, description="FFT and window, samples")] = (
        DEFAULT_SIZE
    )
    octaves: Annotated[
        float, Field(gt=0, le=2, description="width of the bands that levels are averaged over")
    ] = DEFAULT_OCTAVES
    lowest_hz: Annotated[float, Field(ge=0, description="leave out what lies below, Hz")] = 50.0
    range_db: Annotated[
        float, Field(gt=0, le=200, description="smallest level, dB below the highest")
    ] = 80.0


class LongTermSpectrum(Metric):
    """Hear how far the balance of low and high is from the reference, over the whole wave, in dB.

    The root of the mean square, over bins from 50 Hz to half the rate, of the difference in dB of
    the mean power spectra of the loud frames (not more than 30 dB below the loudest), smoothed over
    a sixth of an octave, both not below 80 dB under the highest bin. For audio effect transfer give
    the same speech in the wanted sound as reference. Rate: measured at the rate of the waves.
    Gain: taken out; each has the mean power of its loud frames. Lag: has nearly no influence.
    Silence gives no number.

    Shape: waves (samples,) -> {"ltas": dB, lower is better}.
    Source: long-term average spectra as in SelfRemaster's (2022) mean-spectrum baseline of audio
    effect transfer.
    Raises `ComponentError` without a reference.

    Noise and noise half as loud have one mean spectrum:

    >>> import torch
    >>> noise = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    >>> ltas = LongTermSpectrum(LongTermSpectrumConfig())
    >>> round(ltas.compute(noise / 2, 16000, noise)["ltas"], 4)
    0.0
    """

    Config = LongTermSpectrumConfig
    config: LongTermSpectrumConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"ltas": "lower"}
    ideal: ClassVar[Mapping[str, float]] = {"ltas": 0.0}
    policy = Policy(gain="removed", lag="removed")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The distance."""
        heard, clean = pair(estimate, reference)
        try:
            distance = ltas_distance(
                [(heard, sample_rate)],
                [(clean, sample_rate)],
                self.config.size,
                self.config.octaves,
                self.config.lowest_hz,
                self.config.range_db,
            )
        except AudioError:  # nothing but silence
            distance = NOT_A_NUMBER
        return {"ltas": distance}
